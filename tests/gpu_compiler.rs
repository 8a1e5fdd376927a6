//! What the compiler of a real GPU makes of a training step's shaders: AMD's, as Mesa's RADV has it, needs no
//! GPU when RADV_FORCE_FAMILY names one. `cargo test --test gpu_compiler -- --nocapture` prints the table of
//! docs/performance.md; with RADV_FORCE_FAMILY=VEGA20, say, that of another GPU. What the tests demand, they
//! demand of the usual one. Where RADV is not installed nothing is checked, and said so; CI sets
//! UNHEAT_NEEDS_RADV, so that it cannot be missing there.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

#[path = "support/kernels.rs"]
mod kernels;

use crate::kernels::default_step;
use ash::vk;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::LazyLock;
use unheat::gpu::runtime::spec::validate;
use unheat::gpu::translation;
use unheat::gpu::{Checks, KernelSpec};

/// An RX 6800, if nobody asks for another: the oldest Mesa with RADV that anyone runs knows it.
const USUAL_FAMILY: &str = "NAVI21";

struct Compiled {
    name: String,
    /// Without tiles in workgroup memory.
    is_direct: bool,
    statistics: BTreeMap<String, u64>,
    blocks: Vec<Block>,
}

/// Instructions of a basic block, by what they do.
#[derive(Default)]
struct Block {
    multiply_adds: usize,
    all: usize,
    /// Most loads from memory that are under way at once: issued without a wait in between.
    in_flight: usize,
}

impl Compiled {
    fn statistic(&self, name: &str) -> u64 {
        *self.statistics.get(name).unwrap_or_else(|| panic!("{}: RADV does not say {name}", self.name))
    }

    /// The block with most multiply-adds: of a convolution its innermost loop.
    fn hot(&self) -> &Block {
        self.blocks.iter().max_by_key(|block| block.multiply_adds).unwrap()
    }

    fn is_convolution(&self) -> bool {
        self.name.starts_with("conv3x3")
    }
}

/// The kernels of the default training step, compiled; none where there is no RADV.
fn compiled() -> Option<&'static [Compiled]> {
    static KERNELS: LazyLock<Option<Vec<Compiled>>> = LazyLock::new(|| {
        let family = std::env::var("RADV_FORCE_FAMILY").unwrap_or_else(|_| USUAL_FAMILY.to_owned());
        // SAFETY: the other tests wait for this value, so that no other thread reads the environment.
        unsafe { std::env::set_var("RADV_FORCE_FAMILY", &family) };
        let Some(compiler) = Compiler::open(&family) else {
            let needed = std::env::var_os("UNHEAT_NEEDS_RADV").is_some();
            assert!(!needed, "RADV is not installed: apt install mesa-vulkan-drivers (scripts/setup does)");
            eprintln!(
                "\n*** RADV is NOT INSTALLED: no shader went through it; apt install mesa-vulkan-drivers\n"
            );
            return None;
        };
        Some(default_step().iter().map(|spec| compiler.compile(spec)).collect())
    });
    KERNELS.as_deref()
}

/// SPIR-V and the bindings by group, as wgpu has them for a trusted shader.
fn spirv(spec: &KernelSpec) -> (Vec<u32>, Vec<Vec<vk::DescriptorSetLayoutBinding<'static>>>) {
    let (module, _) = validate(spec).unwrap();
    let mut groups = vec![Vec::new(); 4];
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        let kind = match variable.space {
            naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
            _ => vk::DescriptorType::STORAGE_BUFFER,
        };
        groups[binding.group as usize].push(
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding.binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE),
        );
    }
    (translation::spirv(spec, Checks::Trusted, (1, 3)).unwrap(), groups)
}

/// RADV for a GPU that is not there.
struct Compiler {
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    _instance: ash::Instance,
    _entry: ash::Entry,
}

// SAFETY of every block below: handles come from the calls before them, structures live until the call has
// returned, and what is not destroyed goes with the process.
impl Compiler {
    fn open(family: &str) -> Option<Self> {
        unsafe {
            let entry = ash::Entry::load().ok()?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).ok()?;
            let adapter = instance.enumerate_physical_devices().ok()?.into_iter().find(|&adapter| {
                let properties = instance.get_physical_device_properties(adapter);
                properties.device_name_as_c_str().is_ok_and(|name| name.to_string_lossy().contains(family))
            })?;
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr()];
            let features = vk::PhysicalDeviceFeatures::default().shader_float64(true);
            let mut executable = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let mut half = vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(true);
            let mut stored =
                vk::PhysicalDevice16BitStorageFeatures::default().storage_buffer16_bit_access(true);
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .enabled_features(&features)
                .push_next(&mut executable)
                .push_next(&mut half)
                .push_next(&mut stored);
            let device = instance.create_device(adapter, &info, None).unwrap();
            let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Some(Self { device, executables, _instance: instance, _entry: entry })
        }
    }

    fn compile(&self, spec: &KernelSpec) -> Compiled {
        let (words, groups) = spirv(spec);
        let pipeline = self.pipeline(&words, &groups);
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        let number = |s: &vk::PipelineExecutableStatisticKHR| unsafe { s.value.u64 };
        let text =
            |s: &[std::ffi::c_char]| unsafe { CStr::from_ptr(s.as_ptr()) }.to_string_lossy().into_owned();
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) }.unwrap();
        Compiled {
            name: spec.name.clone(),
            is_direct: spec.subgroups(),
            statistics: statistics.iter().map(|s| (text(&s.name), number(s))).collect(),
            blocks: blocks(&self.assembly(&info)),
        }
    }

    fn pipeline(
        &self,
        words: &[u32],
        groups: &[Vec<vk::DescriptorSetLayoutBinding<'static>>],
    ) -> vk::Pipeline {
        unsafe {
            let shader = vk::ShaderModuleCreateInfo::default().code(words);
            let module = self.device.create_shader_module(&shader, None).unwrap();
            let sets: Vec<_> = groups
                .iter()
                .map(|bindings| {
                    let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(bindings);
                    self.device.create_descriptor_set_layout(&info, None).unwrap()
                })
                .collect();
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None).unwrap();
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let keep = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(keep);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            made.unwrap()[0]
        }
    }

    /// The last of RADV's representations, the GPU's own instructions. Asked for twice: lengths, then texts.
    fn assembly(&self, info: &vk::PipelineExecutableInfoKHR) -> String {
        let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let (device, mut count) = (self.device.handle(), 0);
        unsafe {
            assert_eq!(ask(device, info, &mut count, std::ptr::null_mut()), vk::Result::SUCCESS);
            let mut found = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            assert_eq!(ask(device, info, &mut count, found.as_mut_ptr()), vk::Result::SUCCESS);
            let mut texts: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
            for (one, text) in found.iter_mut().zip(&mut texts) {
                one.p_data = text.as_mut_ptr().cast();
            }
            assert_eq!(ask(device, info, &mut count, found.as_mut_ptr()), vk::Result::SUCCESS);
            String::from_utf8_lossy(texts.last().unwrap()).into_owned()
        }
    }
}

/// Lines are `BB3:` or an instruction, indented.
fn blocks(assembly: &str) -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    let mut in_flight = 0;
    for line in assembly.lines() {
        if line.starts_with("BB") {
            blocks.push(Block::default());
            in_flight = 0;
        }
        let Some(instruction) = line.strip_prefix(['\t', ' ']).map(str::trim_start) else { continue };
        let block = blocks.last_mut().unwrap();
        block.all += 1;
        let is = |starts: &[&str]| starts.iter().any(|start| instruction.starts_with(start));
        block.multiply_adds += usize::from(is(&["v_fma", "v_mad_f", "v_mac", "v_pk_fma"]));
        if is(&["buffer_load", "global_load"]) {
            in_flight += 1;
            block.in_flight = block.in_flight.max(in_flight);
        } else if is(&["s_waitcnt"]) && instruction.contains("vmcnt") {
            in_flight = 0;
        }
    }
    blocks
}

#[test]
fn nothing_is_spilled() {
    let Some(kernels) = compiled() else { return };
    assert!(kernels.len() > 50, "only {} kernels", kernels.len());
    println!("{:62} registers  waves  multiply-adds  in flight", "kernel");
    for kernel in kernels {
        for spilled in ["Spilled VGPRs", "Spilled SGPRs", "Scratch size"] {
            assert_eq!(kernel.statistic(spilled), 0, "{}: {spilled}", kernel.name);
        }
        let hot = kernel.hot();
        println!(
            "{:62} {:9} {:6} {:12} % {:10}",
            format!("{}{}", kernel.name, if kernel.is_direct { " direct" } else { "" }),
            kernel.statistic("VGPRs"),
            kernel.statistic("Subgroups per SIMD"),
            100 * hot.multiply_adds / hot.all,
            kernel.blocks.iter().map(|block| block.in_flight).max().unwrap(),
        );
    }
}

/// In their innermost loops convolutions multiply and add, and little else. Those of the direct ones hold
/// everything, what makes the input and hands values round too.
#[test]
fn convolutions_multiply_and_add() {
    for kernel in compiled().into_iter().flatten().filter(|kernel| kernel.is_convolution()) {
        let hot = kernel.hot();
        let least = match (kernel.name.contains("weight_gradient"), kernel.is_direct) {
            (true, false) => 80,
            (true, true) => 65,
            (false, false) => 75,
            (false, true) => 50,
        };
        assert!(
            100 * hot.multiply_adds >= least * hot.all,
            "{}: {} multiply-adds in {} instructions",
            kernel.name,
            hot.multiply_adds,
            hot.all
        );
    }
}

/// A GPU waits hundreds of cycles for a load: where values are loaded one after the other, it computes little
/// else.
#[test]
fn many_loads_are_in_flight() {
    /// What adds up much in few invocations; convolutions fill tiles.
    const OTHERS: [&str; 5] = ["conv1x1", "upsample_backward", "batch_norm", "sum_rows", "residual_energy"];
    let Some(kernels) = compiled() else { return };
    for other in OTHERS {
        assert!(kernels.iter().any(|kernel| kernel.name.starts_with(other)), "no kernel is called {other}");
    }
    let is_wanted = |kernel: &&Compiled| {
        kernel.is_convolution() || OTHERS.iter().any(|other| kernel.name.starts_with(other))
    };
    for kernel in kernels.iter().filter(is_wanted) {
        let most = kernel.blocks.iter().map(|block| block.in_flight).max().unwrap();
        let wanted = if kernel.name.contains("/plain/") { 2 } else { 4 };
        assert!(most >= wanted, "{}: {most} loads in flight", kernel.name);
    }
}
