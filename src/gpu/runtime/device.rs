//! Devices: Vulkan, Metal and DX12 through wgpu.

use crate::gpu::adapters::{adapters_anew, is_fxc, memory_percent, successors};
use crate::gpu::faults::Fault;
use crate::gpu::kernel_cache::{Asked, KernelCache, Remedy};
use crate::gpu::runtime::checks::{self, Checks, one_line};
use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::memory::{Ledger, MemoryUse};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::runtime::variants::{Key, Variant, Variants};
use crate::model::DType;
use crate::{Error, Result};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Whether a device is to have WebGPU's default limits and no feature, for tests.
fn least_is_wanted() -> Result<bool> {
    const VARIABLE: &str = "UNHEAT_LEAST_DEVICE";
    let Some(asked) = std::env::var_os(VARIABLE) else { return Ok(false) };
    match asked.to_string_lossy().as_ref() {
        "1" => Ok(true),
        "0" | "" => Ok(false),
        other => Err(Error::usage(format!("{VARIABLE} {other}: must be 1 or 0"))),
    }
}

/// An open device with its queue and the kernels built so far.
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    pub(crate) checks: Checks,
    kernels: Mutex<KernelCache>,
    pub(crate) variants: Mutex<Variants>,
    pub(crate) ledger: Arc<Ledger>,
    /// The first error that no scope caught, such as a lost device.
    failure: Arc<Mutex<Option<String>>>,
    /// The submission that a future is waiting for, so that who blocks need not wait for later ones too.
    pub(crate) awaited: Mutex<Option<wgpu::SubmissionIndex>>,
    /// Whether a wait for it has ended without anything.
    pub(crate) given_up: AtomicBool,
    /// Submissions that are known to have run, for telling a slow device from one that hangs.
    pub(crate) finished: Arc<AtomicU64>,
}

impl Gpu {
    /// Opens `adapter` with WebGPU's default limits, but its own for the sizes of buffers; with 16-bit and
    /// 64-bit floats in shaders, subgroups and timestamps where it has them. With UNHEAT_LEAST_DEVICE=1 in
    /// the environment: with what every WebGPU device has, and nothing else, to try that on any adapter
    /// (docs/reliability.md).
    ///
    /// # Errors
    /// [`Error::Device`] when the adapter refuses, [`Error::Usage`] for a wrong UNHEAT_MEMORY_PERCENT or
    /// UNHEAT_LEAST_DEVICE.
    pub async fn open(adapter: &wgpu::Adapter, checks: Checks) -> Result<Self> {
        Self::open_as(adapter, adapter.get_info(), checks).await
    }

    /// As [`Gpu::open`], for who knows more about the adapter than it says: a browser's names nothing but
    /// what the page has asked for.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub async fn open_as(adapter: &wgpu::Adapter, info: wgpu::AdapterInfo, checks: Checks) -> Result<Self> {
        memory_percent()?;
        if least_is_wanted()? {
            let (features, limits) = (wgpu::Features::empty(), wgpu::Limits::default());
            return Self::open_all(adapter, info, checks, features, limits).await;
        }
        let offered = adapter.limits();
        let wanted = wgpu::Features::SHADER_F64
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY;
        let features = adapter.features() & wanted;
        let mut workgroup_memory = wgpu::Limits::default().max_compute_workgroup_storage_size;
        if features.contains(wgpu::Features::SHADER_F64) {
            // A line of 2048 complex numbers, the longest of `fft.wgsl`, takes 32 KiB in 64 bits.
            workgroup_memory = offered.max_compute_workgroup_storage_size.clamp(workgroup_memory, 32 << 10);
        }
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_compute_workgroup_storage_size: workgroup_memory,
            ..Default::default()
        };
        Self::open_all(adapter, info, checks, features, limits).await
    }

    /// As [`Gpu::open`], with these features and limits.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub async fn open_with(
        adapter: &wgpu::Adapter,
        checks: Checks,
        features: wgpu::Features,
        limits: wgpu::Limits,
    ) -> Result<Self> {
        Self::open_all(adapter, adapter.get_info(), checks, features, limits).await
    }

    async fn open_all(
        adapter: &wgpu::Adapter,
        info: wgpu::AdapterInfo,
        checks: Checks,
        features: wgpu::Features,
        limits: wgpu::Limits,
    ) -> Result<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("unheat"),
            required_features: features,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::Device(format!("{}: cannot open the device: {}", info.name, one_line(&e))))?;
        Ok(Self::from_device(device, queue, info, checks))
    }

    /// Opens the same adapter once more, with the features, limits and variants of this device, which may be
    /// lost; where it is gone or refuses, another one of the same model, back end and driver.
    ///
    /// # Errors
    /// [`Error::Device`] when there is none, or all refuse.
    pub async fn reopen(&self) -> Result<Self> {
        let adapters = adapters_anew().await;
        let infos: Vec<wgpu::AdapterInfo> = adapters.iter().map(wgpu::Adapter::get_info).collect();
        let mut refused = None;
        for index in successors(&infos, &self.info) {
            let (features, limits) = (self.device.features(), self.device.limits());
            match Self::open_with(&adapters[index], self.checks, features, limits).await {
                Ok(gpu) => {
                    gpu.set_variants(self.variants());
                    gpu.set_remedies(self.remedies());
                    return Ok(gpu);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| {
            let what = "the device is gone, and there is no other one of its model and driver";
            Error::Device(format!("{}: {what}", self.name()))
        }))
    }

    /// Loses the device, as drivers do at the worst moment: whatever is submitted from here on fails.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// Refuses tensors beyond `bytes` in all, as a driver does whose memory is full.
    pub fn starve(&self, bytes: u64) {
        self.ledger.limit(bytes);
    }

    /// Wraps a device that is open already.
    pub fn from_device(
        device: wgpu::Device,
        queue: wgpu::Queue,
        mut info: wgpu::AdapterInfo,
        checks: Checks,
    ) -> Self {
        if info.name.is_empty() {
            info.name = format!("a device of {}", info.backend); // errors and tables name it
        }
        let failure = Arc::new(Mutex::new(None));
        let (on_error, on_loss) = (failure.clone(), failure.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.lock().unwrap().get_or_insert(one_line(&error));
        }));
        device.set_device_lost_callback(move |reason, message| {
            on_loss.lock().unwrap().get_or_insert(format!("device lost ({reason:?}): {message}"));
        });
        Self {
            device,
            queue,
            info,
            checks,
            kernels: Mutex::new(KernelCache::new(Fault::from_environment())),
            variants: Mutex::default(),
            ledger: Arc::default(),
            failure,
            awaited: Mutex::default(),
            given_up: AtomicBool::default(),
            finished: Arc::default(),
        }
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// The adapter's description.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// Whether FXC compiles its kernels, which takes many seconds for large ones.
    pub fn compiles_with_fxc(&self) -> bool {
        is_fxc(self.info.backend, self.device.features())
    }

    /// The features that the device was opened with.
    pub fn features(&self) -> wgpu::Features {
        self.device.features()
    }

    /// The device, for who draws what its tensors hold.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The device's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Whether a browser runs it: what has run there is heard of late.
    pub(crate) fn is_in_browser(&self) -> bool {
        self.info.backend == wgpu::Backend::BrowserWebGpu
    }

    /// Whether the adapter is a CPU in disguise (lavapipe, WARP).
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Whether kernels may compute in this precision.
    pub fn computes_in(&self, precision: DType) -> bool {
        match precision {
            DType::F16 => false,
            DType::F32 => true,
            DType::F64 => self.device.features().contains(wgpu::Features::SHADER_F64),
        }
    }

    /// Whether activations may be stored like this.
    pub fn stores_in(&self, storage: DType) -> bool {
        match storage {
            DType::F16 => self.device.features().contains(wgpu::Features::SHADER_F16),
            DType::F32 => true,
            DType::F64 => false,
        }
    }

    /// How many invocations share a subgroup, at least and at most, where kernels may use them.
    pub fn subgroup_sizes(&self) -> Option<[u32; 2]> {
        let can = self.device.features().contains(wgpu::Features::SUBGROUP);
        can.then_some([self.info.subgroup_min_size, self.info.subgroup_max_size])
    }

    /// Whether the time of every dispatch can be read from the device's own clock.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// The largest tensor that a kernel can bind; some back ends offer more than a u32 counts.
    pub fn max_tensor_bytes(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(u64::from(u32::MAX) & !3)
    }

    /// The kernel for `spec`, one of the crate's own, built on first use.
    pub(crate) fn kernel(&self, spec: &KernelSpec) -> Result<Arc<Kernel>> {
        self.built(spec, self.checks)
    }

    /// The kernel for a spec that the crate knows nothing of, with every access checked.
    pub(crate) fn checked_kernel(&self, spec: &KernelSpec) -> Result<Arc<Kernel>> {
        self.built(spec, Checks::Checked)
    }

    fn built(&self, spec: &KernelSpec, checks: Checks) -> Result<Arc<Kernel>> {
        let (key, kernel) = self.kernels.lock().unwrap().ask(spec, checks);
        if let Some(kernel) = kernel {
            return Ok(kernel);
        }
        let (fault, zeroed) = (self.kernels.lock().unwrap().fault(&key), key.2);
        let kernel = Arc::new(Kernel::new(&self.device, self.name(), spec, checks, zeroed, fault)?);
        self.kernels.lock().unwrap().keep(key, kernel.clone());
        Ok(kernel)
    }

    /// Drops the kernels built from these specs; recordings that use them keep them.
    pub(crate) fn forget(&self, specs: &HashSet<&KernelSpec>) {
        self.kernels.lock().unwrap().forget(specs);
    }

    /// Injects [faults](crate::gpu::faults) into the kernels that are built from here on.
    #[cfg(test)]
    pub(crate) fn inject(&self, faults: &str) {
        self.kernels.lock().unwrap().inject(Fault::parse_all(faults));
    }

    /// Whether wgpu injects checks into the shaders.
    pub fn checks(&self) -> Checks {
        self.checks
    }

    /// The variants in force.
    pub fn variants(&self) -> Variants {
        self.variants.lock().unwrap().clone()
    }

    /// Puts these variants in force, for what is recorded from here on. A variant that a kernel does not
    /// have, or that does not fit the device, is passed over.
    pub fn set_variants(&self, variants: Variants) {
        *self.variants.lock().unwrap() = variants;
    }

    /// The remedies in force, which come before the variants.
    pub fn remedies(&self) -> Vec<Remedy> {
        self.kernels.lock().unwrap().remedies().to_vec()
    }

    /// Puts these remedies in force, for what is recorded from here on. A variant that a kernel does not
    /// have, or that does not fit the device, is passed over.
    pub fn set_remedies(&self, remedies: Vec<Remedy>) {
        self.kernels.lock().unwrap().set_remedies(remedies);
    }

    /// The variant of a kernel that is in force for some work, if there is one among those that are
    /// `possible`.
    pub(crate) fn variant_in_force(&self, key: &Key, possible: &[Variant]) -> Option<Variant> {
        let remedy = self.kernels.lock().unwrap().variant(&key.kernel, possible);
        remedy.or_else(|| self.variants.lock().unwrap().nearest(key, possible))
    }

    /// The driver refused to build another variant of a kernel than this.
    pub(crate) fn replaced(&self, kernel: &str, variant: Variant) {
        self.kernels.lock().unwrap().replaced(kernel, variant);
    }

    /// What kernels were asked for since the last call.
    pub(crate) fn take_asked(&self) -> Asked {
        self.kernels.lock().unwrap().take_asked()
    }

    /// Runs `make`; the tensors that it makes are for `memory_use`, unless it says otherwise itself.
    pub fn allocate_for<R>(&self, memory_use: MemoryUse, make: impl FnOnce() -> R) -> R {
        self.ledger.allocate_for(memory_use, make)
    }

    /// Bytes of the tensors and readback buffers that are alive now and are for `memory_use`.
    pub fn memory(&self, memory_use: MemoryUse) -> u64 {
        self.ledger.bytes(memory_use)
    }

    /// The specs of all kernels built so far.
    pub fn kernel_specs(&self) -> Vec<KernelSpec> {
        self.kernels.lock().unwrap().specs()
    }

    /// Runs `create` in error scopes, so that a failure is returned with the name of what failed, as
    /// [`checks::scoped`] does.
    pub(crate) fn checked<R>(&self, what: &str, create: impl FnOnce() -> R) -> Result<R> {
        checks::scoped(&self.device, self.name(), what, create)
    }

    /// Lets finished work call back. Returns the first error that no scope caught.
    pub(crate) fn poll(&self) -> Result<()> {
        self.poll_as(wgpu::PollType::Poll).map(drop)
    }

    /// Whether the device still answers, as far as is known.
    pub(crate) fn is_alive(&self) -> bool {
        self.poll().is_ok() && !self.given_up.load(Ordering::Relaxed)
    }

    /// As [`Gpu::poll`], and waits as `poll_type` says; here it is never asked to (`blocking.rs` does).
    /// Returns whether what was to be waited for has come in time.
    pub(crate) fn poll_as(&self, poll_type: wgpu::PollType) -> Result<bool> {
        let outcome = self.device.poll(poll_type);
        if let Some(failure) = self.failure.lock().unwrap().as_ref() {
            return Err(Error::Device(format!("{}: {failure}", self.name())));
        }
        match outcome {
            Ok(_) => Ok(true),
            Err(wgpu::PollError::Timeout) => Ok(false),
            Err(error) => Err(Error::Device(format!("{}: {error}", self.name()))),
        }
    }
}
