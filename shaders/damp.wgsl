// From the error's spectrum Ê to the spectrum of the training signal ∂L/∂x (SPEC 3b, 4).
//
// SIP: -Ê·exp(Λ(q - 1)) with q = 2p - 1 from the signal probability p; GD: -K²·Ê. Exponents are at most zero or
// clamped, so nothing overflows. Reads k and -k, hence not in place. One invocation per mode of a packed pair.

struct Params {
    pairs: u32,
    nx: u32,
    ny: u32,
    sip: u32, // 1: SIP, 0: GD
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spectrum: array<real2>; // [pairs, nx, ny]
@group(0) @binding(2) var<storage, read> log_kernel: array<real>; // Λ [nx, ny]
@group(0) @binding(3) var<storage, read> kernel: array<real>; // K [nx, ny]
@group(0) @binding(4) var<storage, read> energy: array<real>; // Σ|Â|² [2·pairs]
@group(0) @binding(5) var<storage, read> scalars: array<real>; // [5], see below
@group(0) @binding(6) var<storage, read_write> damped: array<real2>; // [pairs, nx, ny]

// The scalars, in a table since uniforms hold no 64-bit floats.
const SIGMA_SCALE = 0u; // ε²/N, so that σ² = SIGMA_SCALE·Σ|Â|²
const SIGNAL_SCALE = 1u; // 1/(2·nx²), so that z_s = SIGNAL_SCALE·|Ê|²
const DAMP_BELOW = 2u;
const INVERT_ABOVE = 3u;
const UNDERFLOW = 4u;

// Beyond this the logistic function is 0 or 1 to every bit, and its exponential is still finite.
const LOGIT_LIMIT: real = 80.0;

// q in [-1, 1]: 1 inverts the diffusion of this mode, 0 copies it, -1 diffuses it once more.
fn action(mode_energy: real, kernel: real, residual_energy: real) -> real {
    let z_signal = scalars[SIGNAL_SCALE] * mode_energy;
    let sigma_squared = scalars[SIGMA_SCALE] * residual_energy;
    if sigma_squared <= 0.0 {
        return 0.0; // a perfect prediction: nothing to weigh
    }
    if z_signal > scalars[UNDERFLOW] {
        return -1.0;
    }
    let logit = kernel * kernel * mode_energy / (2.0 * sigma_squared) - z_signal;
    let p = 1.0 / (1.0 + exponential(-clamp(logit, -LOGIT_LIMIT, LOGIT_LIMIT)));
    if p <= scalars[DAMP_BELOW] || p >= scalars[INVERT_ABOVE] {
        return 2.0 * p - 1.0;
    }
    return 0.0;
}

fn factor(mode: real2, log_kernel: real, kernel: real, residual_energy: real) -> real {
    if params.sip == 0u {
        return -kernel * kernel;
    }
    return -exponential(log_kernel * (action(norm_squared(mode), kernel, residual_energy) - 1.0));
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
    damped[i] = real2(u.x - v.y, u.y + v.x); // û + i·v̂
}
