//! needs heat/fft/lines

// Store: complex fields as they stand.

@group(2) @binding(0) var<storage, read_write> output: array<real2>; // [fields, nx, ny]

fn store(at: Cell, value: real2) {
    output[index(at)] = value;
}
