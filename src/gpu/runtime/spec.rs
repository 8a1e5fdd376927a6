//! What a kernel is made of, and whether naga accepts it. No device is needed for either.

use crate::gpu::runtime::checks::one_line;
use crate::gpu::runtime::shader_files::{self, Source};
use crate::model::DType;
use crate::model::dtype::GRADIENT_SCALE;
use crate::{Error, Result};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// Invocations per workgroup of the element-wise and reducing kernels: the constant `WORKGROUP` of their
/// shaders.
pub const WORKGROUP: u32 = 256;

/// What a kernel is made of: constants, the scalar `real`, how activations are `stored`, and the names of
/// WGSL files under `shaders/`, which bring along what they need. The entry point is `main`.
///
/// Constants become `const NAME: u32 = value;` lines. (Not pipeline overrides: those cannot size an array in
/// registers, and wgpu does not check the limits of what they resolve to.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelSpec {
    /// Name in errors, profiles and tables: that of the shader's file, with its variant.
    pub name: String,
    /// Names of files, such as `step/adam`.
    pub(crate) files: Vec<String>,
    /// WGSL that is not under `shaders/`, of whoever uses this crate.
    pub(crate) outside: Option<String>,
    /// Values of the constants that the files leave open.
    pub(crate) constants: Vec<(&'static str, u32)>,
    /// What `real` means in the files.
    pub(crate) precision: DType,
    /// What `stored` and `stored4` mean in the files.
    pub(crate) storage: DType,
    /// Whether invocations hand values round in their subgroup, which not every adapter can.
    pub(crate) subgroups: bool,
}

impl KernelSpec {
    /// A kernel in 32 bits from the file `file`, called like it, with [`WORKGROUP`] invocations.
    pub(crate) fn new(file: &str) -> Self {
        let name = file.rsplit('/').next().unwrap_or(file);
        Self { files: vec![file.to_owned()], ..Self::named(name) }
    }

    /// A kernel from WGSL that is not under `shaders/`, with [`WORKGROUP`] invocations.
    pub(crate) fn from_outside(name: &str, wgsl: &str) -> Self {
        Self { outside: Some(wgsl.to_owned()), ..Self::named(name) }
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            outside: None,
            constants: vec![("WORKGROUP", WORKGROUP)],
            precision: DType::F32,
            storage: DType::F32,
            subgroups: false,
        }
    }

    /// As [`KernelSpec::new`], written in `real`s of this precision.
    pub(crate) fn real(file: &str, precision: DType) -> Self {
        let spec = Self { precision, ..Self::new(file) };
        let name = spec.name.clone();
        spec.called(&name)
    }

    /// With another name than that of its file; in 64 bits it ends in `/f64`.
    pub(crate) fn called(self, name: &str) -> Self {
        let name = match self.precision {
            DType::F16 | DType::F32 => name.to_owned(),
            DType::F64 => format!("{name}/f64"),
        };
        Self { name, ..self }
    }

    /// As [`KernelSpec::new`], reading or writing activations or their gradients that are stored like this.
    pub(crate) fn stored(file: &str, storage: DType) -> Self {
        Self { storage, ..Self::new(file) }
    }

    /// Adds files that implement what the kernel's own leaves open.
    pub(crate) fn with(mut self, files: impl IntoIterator<Item = String>) -> Self {
        self.files.extend(files);
        self
    }

    /// The scalar of its physics; 64 bits are for SPIR-V alone.
    pub fn precision(&self) -> DType {
        self.precision
    }

    /// How it stores activations; 16 bits want adapters with 16-bit floats in shaders.
    pub fn storage(&self) -> DType {
        self.storage
    }

    /// Whether it needs an adapter with subgroups.
    pub fn subgroups(&self) -> bool {
        self.subgroups
    }

    /// What WGSL wants in front of its text. Chrome insists on it, but naga 30 refuses it: the text itself
    /// cannot have it.
    pub(crate) fn directives(&self) -> &'static str {
        if self.subgroups { "enable subgroups;\n" } else { "" }
    }

    /// The whole WGSL text.
    ///
    /// # Errors
    /// [`Error::Device`] where a file is unknown, or files need each other in a circle.
    pub fn source(&self) -> Result<String> {
        Ok(self.assemble()?.text)
    }

    /// The whole WGSL text with the origin of its lines.
    pub(crate) fn assemble(&self) -> Result<Source> {
        let mut constants = match self.storage {
            DType::F32 | DType::F64 => String::new(),
            DType::F16 => format!("enable f16;\nconst GRADIENT_SCALE: f32 = {GRADIENT_SCALE:?};\n"),
        };
        for (name, value) in &self.constants {
            constants += &format!("const {name}: u32 = {value}u;\n");
        }
        let real = match self.precision {
            DType::F16 | DType::F32 => "lib/real32",
            DType::F64 => "lib/real64",
        };
        let stored = match self.storage {
            DType::F32 | DType::F64 => "lib/stored32",
            DType::F16 => "lib/stored16",
        };
        let files = [&[real, stored].map(str::to_owned), self.files.as_slice()].concat();
        let outside = self.outside.as_deref().map(|wgsl| (self.name.as_str(), wgsl));
        let assembled = shader_files::assemble(&constants, &files, outside);
        assembled.map_err(|what| Error::Device(format!("shader {}: {what}", self.name)))
    }
}

/// Parses and validates a spec without any device, as the portability tests do.
///
/// # Errors
/// [`Error::Device`] with the kernel, the WGSL file, the line and what naga says about it.
pub fn validate(spec: &KernelSpec) -> Result<(naga::Module, ModuleInfo)> {
    validate_source(spec, &spec.assemble()?)
}

/// As [`validate`], of a spec that has been assembled.
pub(crate) fn validate_source(spec: &KernelSpec, source: &Source) -> Result<(naga::Module, ModuleInfo)> {
    let fail = |location: Option<naga::SourceLocation>, what: String| {
        let place = location.map(|location| source.place(location.line_number as usize) + ": ");
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Device(format!("shader {}: {}{what}", spec.name, place.unwrap_or_default()))
    };
    let module = naga::front::wgsl::parse_str(&source.text).map_err(|error| {
        let labels: String = error.labels().map(|(_, label)| format!("; {label}")).collect();
        fail(error.location(&source.text), format!("{}{labels}", error.message()))
    })?;
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::FLOAT64, spec.precision == DType::F64);
    capabilities.set(Capabilities::SHADER_FLOAT16, spec.storage == DType::F16);
    capabilities.set(Capabilities::SUBGROUP, spec.subgroups);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if spec.subgroups {
        validator.subgroup_stages(ShaderStages::COMPUTE);
        validator.subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).map_err(|error| {
        let location = error.location(&source.text);
        fail(location, one_line(&error.into_inner()))
    })?;
    Ok((module, info))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(wgsl: &str) -> String {
        let message = validate(&KernelSpec::from_outside("mine", wgsl)).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn what_naga_refuses_is_found_in_the_file() {
        let parsed =
            message("//! needs lib/grid\n\n@compute @workgroup_size(1)\nfn main() {\n    nothing();\n}\n");
        assert!(parsed.contains("shader mine: mine:5: ") && parsed.contains("nothing"), "{parsed}");
        let validated =
            message("@compute @workgroup_size(1)\nfn main() {\n    let all = subgroupAdd(1u);\n}\n");
        assert!(validated.contains("shader mine: mine:3: "), "{validated}");
        let constant = KernelSpec { constants: vec![("TWO WORDS", 1)], ..KernelSpec::new("step/adam") };
        let constant = validate(&constant).unwrap_err().to_string();
        assert!(constant.contains("shader adam: constants:1: "), "{constant}");
        // Without its constant the shader itself is at fault, where it uses it.
        let open = KernelSpec { constants: Vec::new(), ..KernelSpec::new("step/adam") };
        let open = validate(&open).unwrap_err().to_string();
        let place = open.split_once("shader adam: shaders/step/adam.wgsl:").expect(&open).1;
        let line: usize = place.split_once(": ").unwrap().0.parse().unwrap();
        let file = include_str!("../../../shaders/step/adam.wgsl");
        assert!(file.lines().nth(line - 1).unwrap().contains("WORKGROUP"), "{open}");
    }

    #[test]
    fn what_a_source_from_outside_needs_must_exist() {
        let lost = message("//! needs lib/nothing\n@compute @workgroup_size(1) fn main() {}");
        assert!(lost.contains("shader mine: there is no shaders/lib/nothing.wgsl"), "{lost}");
    }
}
