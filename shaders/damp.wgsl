// From the error's spectrum Ê to the spectrum of the training signal ∂L/∂x (SPEC 3b, 4).
//
// SIP: -Ê·exp(Λ(q - 1)) with q = 2p - 1 from the signal probability p; GD: -K²·Ê. Exponents are at most zero or
// clamped, so nothing overflows. Reads k and -k, hence not in place. One invocation per mode of a packed pair.

struct Params {
    pairs: u32,
    nx: u32,
    ny: u32,
    sip: u32, // 1: SIP, 0: GD
    sigma_scale: f32, // ε²/N, so that σ² = sigma_scale·Σ|Â|²
    signal_scale: f32, // 1/(2·nx²), so that z_s = signal_scale·|Ê|²
    damp_below: f32,
    invert_above: f32,
    underflow: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spectrum: array<vec2<f32>>; // [pairs, nx, ny]
@group(0) @binding(2) var<storage, read> log_kernel: array<f32>; // Λ [nx, ny]
@group(0) @binding(3) var<storage, read> kernel: array<f32>; // K [nx, ny]
@group(0) @binding(4) var<storage, read> energy: array<f32>; // Σ|Â|² [2·pairs]
@group(0) @binding(5) var<storage, read_write> damped: array<vec2<f32>>; // [pairs, nx, ny]

// Beyond this the logistic function is 0 or 1 to every bit, and its exponential is still finite.
const LOGIT_LIMIT: f32 = 80.0;

// q in [-1, 1]: 1 inverts the diffusion of this mode, 0 copies it, -1 diffuses it once more.
fn action(mode_energy: f32, kernel: f32, residual_energy: f32) -> f32 {
    let z_signal = params.signal_scale * mode_energy;
    let sigma_squared = params.sigma_scale * residual_energy;
    if sigma_squared <= 0.0 {
        return 0.0; // a perfect prediction: nothing to weigh
    }
    if z_signal > params.underflow {
        return -1.0;
    }
    let logit = kernel * kernel * mode_energy / (2.0 * sigma_squared) - z_signal;
    let p = 1.0 / (1.0 + exp(-clamp(logit, -LOGIT_LIMIT, LOGIT_LIMIT)));
    if p <= params.damp_below || p >= params.invert_above {
        return 2.0 * p - 1.0;
    }
    return 0.0;
}

fn factor(mode: vec2<f32>, log_kernel: f32, kernel: f32, residual_energy: f32) -> f32 {
    if params.sip == 0u {
        return -kernel * kernel;
    }
    return -exp(log_kernel * (action(norm_squared(mode), kernel, residual_energy) - 1.0));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let cells = params.nx * params.ny;
    if i >= params.pairs * cells {
        return;
    }
    let pair = i / cells;
    let mode = i % cells;
    let x = mode / params.ny;
    let y = mode % params.ny;
    let mirrored = (params.nx - x) % params.nx * params.ny + (params.ny - y) % params.ny;
    let modes = separate(spectrum[i], spectrum[pair * cells + mirrored]);
    let u = modes.xy * factor(modes.xy, log_kernel[mode], kernel[mode], energy[2u * pair]);
    let v = modes.zw * factor(modes.zw, log_kernel[mode], kernel[mode], energy[2u * pair + 1u]);
    damped[i] = vec2(u.x - v.y, u.y + v.x); // û + i·v̂
}
