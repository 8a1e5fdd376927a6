//! A kernel in the languages of the back ends, as wgpu hands it to the driver: for people to read and for
//! compilers to judge. Wherever a kernel runs, wgpu does the same by itself.

use crate::gpu::runtime::checks::Checks;
use crate::gpu::runtime::spec::{KernelSpec, validate};
use crate::model::DType;
use crate::model::settings::choice::choice;
use crate::{Error, Result};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};

choice! {
    /// What kernels are written in, and what they are translated into.
    #[derive(Default)]
    pub enum Language {
        /// The source, which browsers take.
        #[default]
        Wgsl = "wgsl",
        /// What Vulkan takes.
        SpirV = "spirv",
        /// What Metal takes.
        Msl = "msl",
        /// What the compilers of DX12 take, FXC or DXC.
        Hlsl = "hlsl",
    }
}

impl Language {
    /// Whether the language can say what this kernel does: 64-bit floats are for Vulkan alone.
    pub fn has(self, spec: &KernelSpec) -> bool {
        spec.precision() != DType::F64 || matches!(self, Self::Wgsl | Self::SpirV)
    }

    /// The ending of a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Wgsl => "wgsl",
            Self::SpirV => "spv",
            Self::Msl => "metal",
            Self::Hlsl => "hlsl",
        }
    }

    /// The contents of a file with this kernel. Binary for SPIR-V, of the newest version that wgpu writes.
    ///
    /// # Errors
    /// [`Error::Device`] where naga refuses the kernel or the language does not have it.
    pub fn write(self, spec: &KernelSpec, checks: Checks) -> Result<Vec<u8>> {
        if !self.has(spec) {
            return Err(refused(spec, self.name(), "it has no 64-bit floats"));
        }
        Ok(match self {
            Self::Wgsl => wgsl(spec)?.into_bytes(),
            Self::SpirV => spirv(spec, checks, (1, 6))?.iter().flat_map(|word| word.to_le_bytes()).collect(),
            Self::Msl => msl(spec, checks)?.into_bytes(),
            Self::Hlsl => {
                format!("// {}: {}\n{}", spec.name, profile(spec), hlsl(spec, checks)?).into_bytes()
            }
        })
    }
}

/// The whole WGSL text, as browsers want it.
///
/// # Errors
/// Those of [`KernelSpec::source`].
pub fn wgsl(spec: &KernelSpec) -> Result<String> {
    Ok(format!("{}{}", spec.directives(), spec.source()?))
}

/// SPIR-V of this version.
///
/// # Errors
/// [`Error::Device`] where naga refuses the kernel.
pub fn spirv(spec: &KernelSpec, checks: Checks, version: (u8, u8)) -> Result<Vec<u32>> {
    let (module, info) = validate(spec)?;
    let is_checked = checks == Checks::Checked;
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::LABEL_VARYINGS,
        fake_missing_bindings: true, // bindings keep their numbers; wgpu's own count is the same
        bounds_check_policies: bounds(checks),
        zero_initialize_workgroup_memory: match checks {
            Checks::Checked => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
            Checks::Trusted => spv::ZeroInitializeWorkgroupMemoryMode::None,
        },
        force_loop_bounding: is_checked,
        emit_int_div_checks: is_checked,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: MAIN.to_owned() };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|error| refused(spec, "SPIR-V", error))
}

/// MSL of the oldest version that any Mac with wgpu's Metal back end takes: 2.1 came with macOS 10.14.
///
/// # Errors
/// [`Error::Device`] where naga refuses the kernel, or it computes in 64 bits.
pub fn msl(spec: &KernelSpec, checks: Checks) -> Result<String> {
    let (module, info) = validate(spec)?;
    let mut resources = msl::BindingMap::default();
    let mut buffers = 0;
    for (binding, space) in bindings(&module, &info) {
        let mutable = is_written(space);
        resources.insert(binding, msl::BindTarget { buffer: Some(buffers), mutable, ..Default::default() });
        buffers += 1;
    }
    let resources = msl::EntryPointResources { resources, sizes_buffer: Some(buffers), ..Default::default() };
    let is_checked = checks == Checks::Checked;
    let options = msl::Options {
        lang_version: (2, 1),
        per_entry_point_map: [(MAIN.to_owned(), resources)].into(),
        fake_missing_bindings: false,
        bounds_check_policies: bounds(checks),
        zero_initialize_workgroup_memory: is_checked,
        force_loop_bounding: is_checked,
        emit_int_div_checks: is_checked,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions { entry_point: Some(entry_point()), ..Default::default() };
    let written = msl::write_string(&module, &info, &options, &pipeline);
    written.map(|(text, _)| text).map_err(|error| refused(spec, "MSL", error))
}

/// HLSL for the [`profile`] of the kernel. A later model would change nothing in it.
///
/// # Errors
/// [`Error::Device`] where naga refuses the kernel.
pub fn hlsl(spec: &KernelSpec, checks: Checks) -> Result<String> {
    let (module, info) = validate(spec)?;
    let [mut constants, mut read, mut written] = [hlsl::BindTarget::default(); 3];
    let mut binding_map = hlsl::BindingMap::default();
    for (binding, space) in bindings(&module, &info) {
        let target = match space {
            AddressSpace::Uniform => &mut constants,
            _ if is_written(space) => &mut written,
            _ => &mut read,
        };
        binding_map.insert(binding, *target);
        target.register += 1;
    }
    let is_checked = checks == Checks::Checked;
    let options = hlsl::Options {
        shader_model: shader_model(spec),
        binding_map,
        fake_missing_bindings: false,
        special_constants_binding: Some(constants), // holds the number of workgroups
        zero_initialize_workgroup_memory: is_checked,
        restrict_indexing: is_checked,
        force_loop_bounding: is_checked,
        ..Default::default()
    };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions { entry_point: Some(entry_point()) };
    let outcome = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
    outcome.map(|_| text).map_err(|error| refused(spec, "HLSL", error))
}

/// What HLSL's compilers call the least that they must know to compile this kernel, such as `cs_5_1`.
pub fn profile(spec: &KernelSpec) -> String {
    format!("cs_{}", shader_model(spec).to_str())
}

/// FXC takes up to 5.1. Subgroups came with 6.0, 16-bit types with 6.2.
fn shader_model(spec: &KernelSpec) -> hlsl::ShaderModel {
    match (spec.storage(), spec.subgroups()) {
        (DType::F16, _) => hlsl::ShaderModel::V6_2,
        (_, true) => hlsl::ShaderModel::V6_0,
        (_, false) => hlsl::ShaderModel::V5_1,
    }
}

/// The entry point of every kernel.
const MAIN: &str = "main";

fn entry_point() -> (ShaderStage, String) {
    (ShaderStage::Compute, MAIN.to_owned())
}

/// What the kernel binds and uses, in the order in which wgpu numbers it.
fn bindings(module: &Module, info: &ModuleInfo) -> Vec<(ResourceBinding, AddressSpace)> {
    let used = info.get_entry_point(0);
    let variables = module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty());
    let mut bindings: Vec<_> =
        variables.filter_map(|(_, variable)| Some((variable.binding?, variable.space))).collect();
    bindings.sort_by_key(|(binding, _)| (binding.group, binding.binding));
    bindings
}

fn is_written(space: AddressSpace) -> bool {
    matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE))
}

fn bounds(checks: Checks) -> BoundsCheckPolicies {
    let policy = match checks {
        Checks::Checked => BoundsCheckPolicy::Restrict,
        Checks::Trusted => BoundsCheckPolicy::Unchecked,
    };
    BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}

fn refused(spec: &KernelSpec, language: &str, error: impl std::fmt::Display) -> Error {
    Error::Device(format!("shader {} in {language}: {error}", spec.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_kernel_is_as_it_was_written() {
        let loops = KernelSpec::real("heat/rasterise", DType::F32);
        let texts = |checks| [msl(&loops, checks).unwrap(), hlsl(&loops, checks).unwrap()];
        for (checked, trusted) in texts(Checks::Checked).iter().zip(&texts(Checks::Trusted)) {
            assert!(checked.contains("loop_bound") && !trusted.contains("loop_bound"), "{trusted}");
            assert!(trusted.len() < checked.len());
        }
        let words = |checks| spirv(&loops, checks, (1, 3)).unwrap().len();
        assert!(words(Checks::Trusted) < words(Checks::Checked));
    }

    #[test]
    fn registers_are_numbered_by_kind() {
        let text = hlsl(&KernelSpec::new("step/adam"), Checks::Trusted).unwrap();
        assert!(text.contains("register(b0)") && text.contains("register(u0)"), "{text}");
        assert!(!text.contains("space1"), "{text}");
    }

    #[test]
    fn what_a_kernel_needs_decides_on_the_profile() {
        let plain = KernelSpec::new("step/adam");
        let shared = KernelSpec { subgroups: true, ..plain.clone() };
        let halves = KernelSpec { storage: DType::F16, ..shared.clone() };
        assert_eq!([&plain, &shared, &halves].map(profile), ["cs_5_1", "cs_6_0", "cs_6_2"]);
        assert!(wgsl(&shared).unwrap().starts_with("enable subgroups;\n"));
        assert!(wgsl(&plain).unwrap().starts_with("const"));
    }

    #[test]
    fn kernels_in_64_bits_have_two_languages() {
        let doubles = KernelSpec::real("heat/rasterise", DType::F64);
        for language in Language::ALL {
            let written = language.write(&doubles, Checks::Trusted);
            assert_eq!(written.is_ok(), [Language::Wgsl, Language::SpirV].contains(&language), "{language}");
        }
    }
}
