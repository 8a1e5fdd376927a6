//! needs heat/fft/lines lib/complex

// Store: a spectrum without the operator's phase, times exp(-iφ) (method §3c).

@group(2) @binding(0) var<storage, read_write> output: array<real2>; // [fields, nx, ny]
@group(2) @binding(1) var<storage, read> unwinding: array<real2>; // exp(-iφ) [nx, ny]

fn store(at: Cell, value: real2) {
    output[index(at)] = multiply(unwinding[at.x * params.ny + at.y], value);
}
