//! needs lib/reduce

// The prediction takes over the truth's mean: x = o + (mean(x*) - mean(o)) (method §4); the error e = x* - x
// and x_l2 = ½‖e‖² come along. The network's side is f32, the physics' side `real` (method §0). One workgroup
// per sample.

struct Params {
    batch: u32,
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> output: array<vec4<f32>>; // o [batch, cells]
@group(0) @binding(2) var<storage, read> truth: array<real4>; // x* [batch, cells]
@group(0) @binding(3) var<storage, read_write> prediction: array<vec4<f32>>; // [batch, cells]
@group(0) @binding(4) var<storage, read_write> error: array<real4>; // [batch, cells]
@group(0) @binding(5) var<storage, read_write> x_l2: array<f32>; // [batch]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let quads = params.cells / 4u;
    let first = workgroup.x * quads;
    var sums = real2(0.0);
    for (var i = local; i < quads; i += WORKGROUP) {
        sums += real2(cell_sum(truth[first + i]), cell_sum(real4(output[first + i])));
    }
    let means = vec2<f32>(workgroup_sum(local, sums) / real(params.cells)); // of x* and o
    let shift = means.x - means.y;
    var energy = real(0.0);
    for (var i = local; i < quads; i += WORKGROUP) {
        let x = output[first + i] + shift;
        let e = truth[first + i] - real4(x);
        prediction[first + i] = x;
        error[first + i] = e;
        energy += cell_sum(e * e);
    }
    let total = workgroup_sum(local, real2(energy, 0.0)).x;
    if local == 0u {
        x_l2[workgroup.x] = f32(0.5 * total);
    }
}
