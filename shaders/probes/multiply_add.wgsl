//! needs lib/grid

// Multiplies and adds in registers, nothing else: the most arithmetic that an adapter does (`unheat bench`).
// Each invocation iterates x <- factor·x + offset on twelve numbers side by side, which hides the latency of
// one.

struct Params {
    count: u32, // invocations
    rounds: u32, // of eight iterations
    factor: f32,
    offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // [count]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let factor = vec4(params.factor);
    let offset = vec4(params.offset);
    var a = vec4(0.0, 1.0, 2.0, 3.0) + f32(local) / f32(WORKGROUP);
    var b = a + 4.0;
    var c = b + 4.0;
    for (var round = 0u; round < params.rounds; round++) {
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
    }
    if i < params.count {
        sums[i] = dot(a + b + c, vec4(1.0));
    }
}
