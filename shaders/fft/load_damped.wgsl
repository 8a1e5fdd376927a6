// Load: from the error's spectrum Ê the spectrum of the training signal ∂L/∂x (SPEC 3b, 4).
//
// SIP: -Ê·exp(Λ(q - 1)) with q = 2p - 1 from the signal probability p; GD: -K²·Ê. Exponents are at most zero or
// clamped, so nothing overflows. A mode of a packed pair takes the spectrum at k and -k.

@group(1) @binding(0) var<storage, read> spectrum: array<real2>; // [fields, nx, ny]
@group(1) @binding(1) var<storage, read> log_kernel: array<real>; // Λ [nx, ny]
@group(1) @binding(2) var<storage, read> kernel: array<real>; // K [nx, ny]
@group(1) @binding(3) var<storage, read> energy: array<real>; // Σ|Â|² [2·fields]
@group(1) @binding(4) var<storage, read> scalars: array<real>; // [6], see below

// The scalars, in a table since uniforms hold no 64-bit floats.
const SIGMA_SCALE = 0u; // ε²/N, so that σ² = SIGMA_SCALE·Σ|Â|²
const SIGNAL_SCALE = 1u; // 1/(2·nx²), so that z_s = SIGNAL_SCALE·|Ê|²
const DAMP_BELOW = 2u;
const INVERT_ABOVE = 3u;
const UNDERFLOW = 4u;
const LOGIT_LIMIT = 5u; // beyond it the logistic function is 0 or 1, to as many bits as q keeps

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
    let limit = scalars[LOGIT_LIMIT];
    let logit = kernel * kernel * mode_energy / (2.0 * sigma_squared) - z_signal;
    let p = 1.0 / (1.0 + exponential(-clamp(logit, -limit, limit)));
    if p <= scalars[DAMP_BELOW] || p >= scalars[INVERT_ABOVE] {
        return 2.0 * p - 1.0;
    }
    return 0.0;
}

fn factor(mode: real2, log_kernel: real, kernel: real, residual_energy: real) -> real {
    if SIP == 0u {
        return -kernel * kernel;
    }
    return -exponential(log_kernel * (action(norm_squared(mode), kernel, residual_energy) - 1.0));
}

fn load(at: Cell) -> real2 {
    let mode = at.x * params.ny + at.y;
    let first = at.field * params.nx * params.ny;
    let there = first + opposite(at.x, at.y, params.nx, params.ny);
    let modes = separate(spectrum[first + mode], spectrum[there]);
    let u = modes.xy * factor(modes.xy, log_kernel[mode], kernel[mode], energy[2u * at.field]);
    let v = modes.zw * factor(modes.zw, log_kernel[mode], kernel[mode], energy[2u * at.field + 1u]);
    return real2(u.x - v.y, u.y + v.x); // û + i·v̂
}
