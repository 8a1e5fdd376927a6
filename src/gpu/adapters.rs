//! The adapters of a machine, and what wgpu is told about them.

use crate::{Error, Result};

/// The back ends that unheat supports; GL's compute shaders are not worth a path of their own.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN
    .union(wgpu::Backends::METAL)
    .union(wgpu::Backends::DX12)
    .union(wgpu::Backends::BROWSER_WEBGPU);

/// Percent of the memory which a driver grants this process, beyond which no buffer is made, where the driver
/// says what it grants: by Vulkan's VK_EXT_memory_budget, and on DX12. Else some drivers move buffers to the
/// host's memory, where kernels are many times slower, or lose the device. The rest is for what the driver
/// makes on its own. `UNHEAT_MEMORY_PERCENT` names another percentage, or `off`, for drivers that say
/// nonsense.
const MEMORY_PERCENT: u8 = 95;

/// The percentage in force; none: as much as the driver gives.
pub(crate) fn memory_percent() -> Result<Option<u8>> {
    const VARIABLE: &str = "UNHEAT_MEMORY_PERCENT";
    let Some(asked) = std::env::var_os(VARIABLE) else { return Ok(Some(MEMORY_PERCENT)) };
    let text = asked.to_string_lossy();
    match (text.as_ref(), text.parse()) {
        ("off", _) => Ok(None),
        (_, Ok(percent @ 1..=100)) => Ok(Some(percent)),
        _ => Err(Error::usage(format!("{VARIABLE} {text}: must be from 1 to 100, or off"))),
    }
}

/// The supported back ends that this program has on this platform.
pub fn compiled_in() -> impl Iterator<Item = wgpu::Backend> {
    let there = BACKENDS.intersection(wgpu::Instance::enabled_backend_features());
    wgpu::Backend::ALL.into_iter().filter(move |&backend| there.contains(backend.into()))
}

/// The instance that every adapter of this process comes from. Drivers make no promise about instances that
/// come and go in several threads: NVIDIA's on Linux crashes (wgpu's issue 5930).
#[cfg(not(target_arch = "wasm32"))]
static SHARED: std::sync::Mutex<Option<wgpu::Instance>> = std::sync::Mutex::new(None);

/// Every adapter of the supported back ends, in wgpu's order, which numbers them on the command line.
pub async fn adapters() -> Vec<wgpu::Adapter> {
    instance().enumerate_adapters(BACKENDS).await
}

/// The same by an instance that no lost device has belonged to.
pub(crate) async fn adapters_anew() -> Vec<wgpu::Adapter> {
    #[cfg(not(target_arch = "wasm32"))]
    {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *shared = Some(new_instance());
    }
    adapters().await
}

/// What finds adapters of the supported back ends, one for the whole process.
#[cfg(not(target_arch = "wasm32"))]
pub fn instance() -> wgpu::Instance {
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.get_or_insert_with(new_instance).clone()
}

/// What finds adapters of the supported back ends.
#[cfg(target_arch = "wasm32")]
pub fn instance() -> wgpu::Instance {
    new_instance()
}

fn new_instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    // The back end's validation layers, where they are installed, slow everything down: WGPU_VALIDATION=1
    // asks for them.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    // DX12 compiles with DXC where Windows finds dxcompiler.dll, else with FXC, which every Windows has but
    // which knows no subgroups and no 16-bit floats. WGPU_DX12_COMPILER=fxc or dxc insists on one.
    descriptor.backend_options.dx12.shader_compiler = wgpu::Dx12Compiler::Auto.with_env();
    // Other programs come and go: a budget that shrinks in the middle of a run is not to lose the device by
    // itself, only where it leaves no room for the next upload.
    let percent = memory_percent().unwrap_or(Some(MEMORY_PERCENT)); // opening a device refuses what is wrong
    descriptor.memory_budget_thresholds =
        wgpu::MemoryBudgetThresholds { for_resource_creation: percent, for_device_loss: None };
    wgpu::Instance::new(descriptor)
}

/// Whether Microsoft's FXC compiles for an adapter of this back end with these features: DX12 without DXC.
/// Then wgpu offers what shader model 5.1 has; every adapter that DXC compiles for has more.
pub fn is_fxc(backend: wgpu::Backend, features: wgpu::Features) -> bool {
    use wgpu::Features;
    /// What came with shader model 6.0, and with 6.2.
    const NEWER: Features = Features::SUBGROUP.union(Features::SHADER_INT64).union(Features::SHADER_F16);
    backend == wgpu::Backend::Dx12 && !features.intersects(NEWER)
}

/// The places in `infos` of the adapters that may go on for the `lost` one: itself first, then others of the
/// same model, back end and driver, which compute the same bits.
pub(crate) fn successors(infos: &[wgpu::AdapterInfo], lost: &wgpu::AdapterInfo) -> Vec<usize> {
    let is_like = |info: &wgpu::AdapterInfo| {
        let there = wgpu::AdapterInfo { device_pci_bus_id: lost.device_pci_bus_id.clone(), ..info.clone() };
        there == *lost
    };
    let mut alike: Vec<usize> = (0..infos.len()).filter(|&i| is_like(&infos[i])).collect();
    alike.sort_by_key(|&i| infos[i] != *lost);
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_one_instance_which_a_lost_device_ends() {
        // No other unit test opens a lost device again.
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(instance)).collect();
        let found: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(found.iter().all(|other| *other == found[0]), "{found:?}");
        crate::blocking::block_on(adapters_anew());
        assert!(instance() != found[0]);
        assert_eq!(instance(), instance());
    }

    #[test]
    fn a_lost_device_is_followed_by_itself_or_its_like() {
        let card = |bus: &str| wgpu::AdapterInfo {
            name: "card".to_owned(),
            device_pci_bus_id: bus.to_owned(),
            driver_info: "1".to_owned(),
            ..wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan)
        };
        let others = [
            wgpu::AdapterInfo { name: "other".to_owned(), ..card("3") },
            wgpu::AdapterInfo { driver_info: "2".to_owned(), ..card("3") },
            wgpu::AdapterInfo { backend: wgpu::Backend::Dx12, ..card("3") },
        ];
        assert_eq!(successors(&[card("1"), others[0].clone(), card("3")], &card("3")), [2, 0]);
        assert_eq!(successors(&[others[1].clone(), card("2"), card("1")], &card("3")), [1, 2]);
        assert!(successors(&others, &card("3")).is_empty());
        assert!(successors(&[], &card("3")).is_empty());
    }
}
