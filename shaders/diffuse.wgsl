// Diffusion in Fourier space: every mode times K = exp(-Λ) (SPEC 2). K is real and even, so it acts on both
// packed fields at once. One invocation per mode.

struct Params {
    modes: u32, // of all packed fields together
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<real>; // [cells]
@group(0) @binding(2) var<storage, read_write> spectrum: array<real2>; // [modes]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.modes {
        spectrum[i] *= kernel[i % params.cells];
    }
}
