//! needs heat/fft/noise lib/complex lib/reduce

// Σ|Â|² = Σ|K·Ê + N̂|² over all modes of each sample: by Parseval N·‖P(x* - x) + n‖² (method §3b).
// One workgroup per pair of packed samples; the order of the sum is fixed.

struct Params {
    nx: u32,
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spectrum: array<real2>; // [pairs, nx, ny]
@group(0) @binding(2) var<storage, read> kernel: array<real>; // [nx, ny]
@group(0) @binding(3) var<storage, read_write> energy: array<real>; // [2·pairs]

const ABREAST = 4u; // modes whose loads are in flight at once

// |Â|² of both samples at one mode.
fn energies(first: u32, mode: u32) -> real2 {
    let there = first + opposite(mode / params.ny, mode % params.ny, params.nx, params.ny);
    let errors = separate(spectrum[first + mode], spectrum[there]);
    let residuals = kernel[mode] * errors + separate(noise_mode(first + mode), noise_mode(there));
    return real2(norm_squared(residuals.xy), norm_squared(residuals.zw));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let cells = params.nx * params.ny;
    let first = workgroup.x * cells;
    var sums = real2(0.0);
    for (var start = local; start < cells; start += ABREAST * WORKGROUP) {
        for (var k = 0u; k < ABREAST; k++) {
            let i = start + k * WORKGROUP;
            sums += select(real2(0.0), energies(first, min(i, cells - 1u)), i < cells);
        }
    }
    let total = workgroup_sum(local, sums);
    if local == 0u {
        energy[2u * workgroup.x] = total.x;
        energy[2u * workgroup.x + 1u] = total.y;
    }
}
