//! needs heat/fft/lines heat/fft/noise lib/complex

// Load: from the error's spectrum Ê the spectrum of the training signal ∂L/∂x (method §3b, §4).
//
// The residual is Â = K·Ê + N̂ with the observation's noise N̂ (fft/noise). SIP: -(Ê·exp(Λ(q - 1)) +
// N̂·exp(Λq)) with q = 2p - 1 from the signal probability p; GD: -K·Â; supervised: -Ê. Exponents are at most
// zero or clamped, so nothing overflows. A mode of a packed pair takes the spectrum at k and -k.

@group(1) @binding(0) var<storage, read> spectrum: array<real2>; // [fields, nx, ny]
@group(1) @binding(1) var<storage, read> log_kernel: array<real>; // Λ [nx, ny]
@group(1) @binding(2) var<storage, read> kernel: array<real>; // K [nx, ny]
@group(1) @binding(3) var<storage, read> energy: array<real>; // Σ|Â|² [2·fields]
@group(1) @binding(4) var<storage, read> scalars: array<real>; // [8], see below

const SIP = 0u;
const GD = 1u;
const SUPERVISED = 2u;

// The scalars, in a table since uniforms hold no 64-bit floats.
const SIGMA_SCALE = 0u; // ε²/N, so that σ² = SIGMA_SCALE·Σ|Â|² + NOISE_ENERGY
const SIGNAL_SCALE = 1u; // 1/(2·nx²), so that z_s = SIGNAL_SCALE·|Â·exp(Λ)|²
const DAMP_BELOW = 2u;
const INVERT_ABOVE = 3u;
const UNDERFLOW = 4u;
const LOGIT_LIMIT = 5u; // beyond it the logistic function is 0 or 1, to as many bits as q keeps
const NOISE_ENERGY = 6u; // N·noise²
const AMPLIFICATION_LIMIT = 7u;

// q in [-1, 1]: 1 inverts the diffusion of this mode, 0 copies it, -1 diffuses it once more.
fn action(mode_energy: real, amplified_energy: real, residual_energy: real) -> real {
    let z_signal = scalars[SIGNAL_SCALE] * amplified_energy;
    let sigma_squared = scalars[SIGMA_SCALE] * residual_energy + scalars[NOISE_ENERGY];
    if sigma_squared <= 0.0 {
        return 0.0; // a perfect prediction: nothing to weigh
    }
    if z_signal > scalars[UNDERFLOW] {
        return -1.0;
    }
    let limit = scalars[LOGIT_LIMIT];
    let logit = mode_energy / (2.0 * sigma_squared) - z_signal;
    let p = 1.0 / (1.0 + exponential(-clamp(logit, -limit, limit)));
    if p <= scalars[DAMP_BELOW] || p >= scalars[INVERT_ABOVE] {
        return 2.0 * p - 1.0;
    }
    return 0.0;
}

// The spectrum of ∂L/∂x at one mode of one sample.
fn signal(error: real2, noise: real2, log_kernel: real, kernel: real, residual_energy: real) -> real2 {
    if METHOD == SUPERVISED {
        return -error;
    }
    let residual = kernel * error + noise;
    if METHOD == GD {
        return -kernel * residual;
    }
    let amplified = error + noise * exponential(min(log_kernel, scalars[AMPLIFICATION_LIMIT]));
    let q = action(norm_squared(residual), norm_squared(amplified), residual_energy);
    let inverse = exponential(min(log_kernel * q, scalars[LOGIT_LIMIT]));
    return -(error * exponential(log_kernel * (q - 1.0)) + noise * inverse);
}

fn load(at: Cell) -> real2 {
    let mode = at.x * params.ny + at.y;
    let here = at.field * params.nx * params.ny + mode;
    let there = at.field * params.nx * params.ny + opposite(at.x, at.y, params.nx, params.ny);
    let error = separate(spectrum[here], spectrum[there]);
    let noise = separate(noise_mode(here), noise_mode(there));
    let u = signal(error.xy, noise.xy, log_kernel[mode], kernel[mode], energy[2u * at.field]);
    let v = signal(error.zw, noise.zw, log_kernel[mode], kernel[mode], energy[2u * at.field + 1u]);
    return real2(u.x - v.y, u.y + v.x); // û + i·v̂
}
