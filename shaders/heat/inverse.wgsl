//! needs lib/complex lib/grid

// The damped inverse of a residual whose truth is unknown (method §3): Â becomes Â·κ, κ = exp(Λ·q), in place.
//
// E = nx·exp(-Λ) is the amplitude expected of a signal, σ that of the noise. The reference's s/(s + n) is
// written as the logistic function of z_n - z_s, which equals it and underflows in no precision; where the
// reference's 64-bit s or n underflows, p is 0 or 1 as there. Samples are not packed in pairs here: the
// rounding of a large one would be taken for the signal of a small one. One invocation per mode of a sample.

struct Params {
    modes: u32, // of all samples together
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_kernel: array<real>; // Λ [cells]
@group(0) @binding(2) var<storage, read> expected: array<real>; // E [cells]; 0 where it underflows
@group(0) @binding(3) var<storage, read> sigma: array<real>; // σ [samples]
@group(0) @binding(4) var<storage, read> scalars: array<real>; // [5], see below
@group(0) @binding(5) var<storage, read_write> spectrum: array<real2>; // [samples, cells]
@group(0) @binding(6) var<storage, read_write> diagnostics: array<real>; // [3, samples, cells]: |Â|, p, κ

const DAMP_BELOW = 0u;
const INVERT_ABOVE = 1u;
const UNDERFLOW = 2u; // the largest z whose exp(-z) the reference does not lose
const RATIO_LIMIT = 3u; // √(2·UNDERFLOW)
const EXPONENT_LIMIT = 4u; // the exponential of this is finite

fn signal_probability(amplitude: real, expected: real, sigma: real) -> real {
    if !(expected > 0.0) || amplitude > scalars[RATIO_LIMIT] * expected {
        return 0.0;
    }
    if amplitude > scalars[RATIO_LIMIT] * sigma {
        return 1.0;
    }
    let signal = amplitude / expected;
    let noise = amplitude / sigma;
    let limit = scalars[EXPONENT_LIMIT];
    let logit = clamp(0.5 * (noise * noise - signal * signal), -limit, limit);
    return 1.0 / (1.0 + exponential(-logit));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.modes {
        return;
    }
    let mode = i % params.cells;
    let noise = sigma[i / params.cells];
    let amplitude = sqrt(norm_squared(spectrum[i]));
    var p = real(0.5); // a residual of zero: nothing to weigh
    if noise > 0.0 {
        p = signal_probability(amplitude, expected[mode], noise);
    }
    var q = real(0.0);
    if p <= scalars[DAMP_BELOW] || p >= scalars[INVERT_ABOVE] {
        q = 2.0 * p - 1.0;
    }
    let limit = scalars[EXPONENT_LIMIT];
    let kappa = exponential(clamp(log_kernel[mode] * q, -limit, limit));
    spectrum[i] *= kappa;
    diagnostics[i] = amplitude;
    diagnostics[params.modes + i] = p;
    diagnostics[2u * params.modes + i] = kappa;
}
