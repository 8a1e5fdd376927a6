//! What a shader declares: names, places, access and layout of its resources, read by naga and never retyped
//! here.

use crate::gpu::runtime::uniform::{Field, Uniform};
use crate::{Error, Result};
use naga::valid::{GlobalUse, ModuleInfo};
use naga::{AddressSpace, StorageAccess, TypeInner};

/// One `@group @binding` of a shader.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) group: u32,
    pub(crate) binding: u32,
    /// Whether it is declared `read_write`.
    pub(crate) writable: bool,
    /// How often each element crosses the memory bus: once if `main` reads it, once more if it writes it.
    /// WGSL cannot declare a storage buffer that is only written, so this comes from the statements.
    pub(crate) passes: u32,
    /// Bytes of one number in a storage array.
    pub(crate) width: Option<u8>,
    /// The fields, where it is a uniform.
    pub(crate) uniform: Option<Uniform>,
}

/// Every resource that a module with one entry point declares.
pub(crate) fn bindings(module: &naga::Module, info: &ModuleInfo) -> Vec<Binding> {
    let mut bindings = Vec::new();
    for (handle, variable) in module.global_variables.iter() {
        let Some(place) = &variable.binding else { continue };
        let used = info.get_entry_point(0)[handle];
        let (reads, writes) = (
            used.intersects(GlobalUse::READ | GlobalUse::ATOMIC),
            used.intersects(GlobalUse::WRITE | GlobalUse::ATOMIC),
        );
        let is_stored = |access: StorageAccess| access.contains(StorageAccess::STORE);
        bindings.push(Binding {
            name: variable.name.clone().unwrap_or_default(),
            group: place.group,
            binding: place.binding,
            writable: matches!(variable.space, AddressSpace::Storage { access } if is_stored(access)),
            passes: u32::from(reads) + u32::from(writes),
            width: width(module, variable.ty),
            uniform: uniform(module, variable),
        });
    }
    bindings
}

/// The fields of a uniform that is a struct.
fn uniform(module: &naga::Module, variable: &naga::GlobalVariable) -> Option<Uniform> {
    let kind = |handle: naga::Handle<naga::Type>| match &module.types[handle].inner {
        TypeInner::Scalar(naga::Scalar { kind: naga::ScalarKind::Uint, width: 4 }) => "u32".to_owned(),
        TypeInner::Scalar(naga::Scalar { kind: naga::ScalarKind::Float, width: 4 }) => "f32".to_owned(),
        other => format!("{other:?}"),
    };
    let field = |member: &naga::StructMember| Field {
        name: member.name.clone().unwrap_or_default(),
        offset: member.offset as usize,
        kind: kind(member.ty),
    };
    match &module.types[variable.ty].inner {
        TypeInner::Struct { members, span } if variable.space == AddressSpace::Uniform => {
            Some(Uniform { fields: members.iter().map(field).collect(), size: *span as usize })
        }
        _ => None,
    }
}

/// Bytes of one number of an array of scalars or vectors.
fn width(module: &naga::Module, array: naga::Handle<naga::Type>) -> Option<u8> {
    let TypeInner::Array { base, .. } = module.types[array].inner else { return None };
    Some(module.types[base].inner.scalar()?.width)
}

/// Workgroups must not be larger than the device allows; wgpu does not look at their memory.
pub(crate) fn check_workgroup(kernel: &str, module: &naga::Module, limits: &wgpu::Limits) -> Result<()> {
    let fail = |what: String| Err(Error::Device(format!("kernel {kernel}: {what}")));
    let invocations = module.entry_points.iter().map(|entry| entry.workgroup_size.iter().product::<u32>());
    let (largest, allowed) = (invocations.max().unwrap_or(0), limits.max_compute_invocations_per_workgroup);
    if largest == 0 || largest > allowed {
        return fail(format!("{largest} invocations per workgroup; the device allows {allowed}"));
    }
    let mut layouter = naga::proc::Layouter::default();
    if let Err(error) = layouter.update(module.to_ctx()) {
        return fail(error.to_string());
    }
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let bytes: u64 = shared.map(|(_, v)| u64::from(layouter[v.ty].size)).sum();
    let allowed = limits.max_compute_workgroup_storage_size;
    if bytes > u64::from(allowed) {
        return fail(format!("{bytes} bytes of workgroup memory; the device allows {allowed}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::runtime::spec::{KernelSpec, validate};

    fn passes(source: &'static str) -> Vec<(String, u32)> {
        let (module, info) = validate(&KernelSpec::from_outside("test", source)).unwrap();
        bindings(&module, &info).into_iter().map(|b| (b.name, b.passes)).collect()
    }

    #[test]
    fn what_a_shader_really_does_decides_not_what_it_declares() {
        let found = passes(
            "@group(0) @binding(0) var<storage, read> only_read: array<vec4<f32>>;
             @group(0) @binding(1) var<storage, read_write> only_written: array<f32>;
             @group(0) @binding(2) var<storage, read_write> in_place: array<f32>;
             @group(0) @binding(3) var<storage, read_write> read_though_writable: array<f32>;
             @group(0) @binding(4) var<storage, read_write> counted: array<atomic<u32>>;
             @group(0) @binding(5) var<storage, read_write> measured: array<f32>;
             fn inner(i: u32) -> f32 { return read_though_writable[i]; }
             @compute @workgroup_size(1)
             fn main(@builtin(local_invocation_index) i: u32) {
                 only_written[i] = only_read[i].x + inner(i) + f32(arrayLength(&measured));
                 in_place[i] += 1.0;
                 atomicAdd(&counted[i], 1u);
             }",
        );
        let expected = [
            ("only_read", 1),
            ("only_written", 1),
            ("in_place", 2),
            ("read_though_writable", 1),
            ("counted", 2),
            ("measured", 0),
        ];
        assert_eq!(found, expected.map(|(name, passes)| (name.to_owned(), passes)));
    }

    #[test]
    fn workgroups_beyond_the_limits_are_refused() {
        let check = |source: &'static str| {
            let (module, _) = validate(&KernelSpec::from_outside("test", source)).unwrap();
            check_workgroup("test", &module, &wgpu::Limits::default())
        };
        check("var<workgroup> a: array<f32, 4096>; @compute @workgroup_size(256) fn main() { a[0] = 1.0; }")
            .unwrap();
        for (source, expected) in [
            ("@compute @workgroup_size(16, 17) fn main() {}", "272 invocations"),
            (
                "var<workgroup> a: array<f32, 4097>; @compute @workgroup_size(1) fn main() { a[0] = 1.0; }",
                "16388",
            ),
        ] {
            let message = check(source).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
