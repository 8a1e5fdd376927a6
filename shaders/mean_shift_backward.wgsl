// Adjoint of the mean shift: ∂L/∂o = g - mean(g) for g = ∂L/∂x (SPEC 4); the losses come along:
// y_l2 = ½·Σ|Â|²/N, and the loss is ½‖g‖² for SIP (where g = -dx) and supervised training, y_l2 for GD. One workgroup per sample.

struct Params {
    batch: u32,
    cells: u32,
    loss_is_signal: u32, // 1: the loss is ½‖g‖², 0: y_l2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> signal: array<real>; // g [batch, cells]
@group(0) @binding(2) var<storage, read> residual_energy: array<real>; // Σ|Â|² [batch, or one more]
@group(0) @binding(3) var<storage, read_write> output_gradient: array<f32>; // [batch, cells]
@group(0) @binding(4) var<storage, read_write> losses: array<f32>; // [2, batch]: loss, y_l2

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * params.cells;
    var sums = real2(0.0);
    for (var i = local; i < params.cells; i += WORKGROUP) {
        let g = signal[first + i];
        sums += real2(real(f32(g)), g * g);
    }
    let mean = workgroup_sum(local, sums.x) / real(params.cells);
    let energy = workgroup_sum(local, sums.y);
    for (var i = local; i < params.cells; i += WORKGROUP) {
        output_gradient[first + i] = f32(signal[first + i]) - f32(mean);
    }
    if local == 0u {
        let y_l2 = 0.5 * residual_energy[workgroup.x] / real(params.cells);
        losses[workgroup.x] = f32(select(y_l2, 0.5 * energy, params.loss_is_signal == 1u));
        losses[params.batch + workgroup.x] = f32(y_l2);
    }
}
