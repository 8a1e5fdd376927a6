//! needs lib/reduce

// Adjoint of the mean shift: ∂L/∂o = g - mean(g) for g = ∂L/∂x (method §4); the losses come along: y_l2 =
// ½·Σ|Â|²/N, and the loss is ½‖g‖² for SIP (where g = -dx) and supervised training, y_l2 for GD. One
// workgroup per sample.

struct Params {
    batch: u32,
    cells: u32,
    loss_is_signal: u32, // 1: the loss is ½‖g‖², 0: y_l2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> signal: array<real4>; // g [batch, cells]
@group(0) @binding(2) var<storage, read> residual_energy: array<real>; // Σ|Â|² [batch, or one more]
@group(0) @binding(3) var<storage, read_write> output_gradient: array<vec4<f32>>; // [batch, cells]
@group(0) @binding(4) var<storage, read_write> losses: array<f32>; // [2, batch]: loss, y_l2

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let quads = params.cells / 4u;
    let first = workgroup.x * quads;
    var sums = real2(0.0);
    for (var i = local; i < quads; i += WORKGROUP) {
        let g = signal[first + i];
        sums += real2(cell_sum(real4(vec4<f32>(g))), cell_sum(g * g));
    }
    let total = workgroup_sum(local, sums); // Σg, ‖g‖²
    let mean = f32(total.x / real(params.cells));
    for (var i = local; i < quads; i += WORKGROUP) {
        output_gradient[first + i] = vec4<f32>(signal[first + i]) - mean;
    }
    if local == 0u {
        let y_l2 = 0.5 * residual_energy[workgroup.x] / real(params.cells);
        losses[workgroup.x] = f32(select(y_l2, 0.5 * total.y, params.loss_is_signal == 1u));
        losses[params.batch + workgroup.x] = f32(y_l2);
    }
}
