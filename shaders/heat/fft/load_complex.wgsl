//! needs heat/fft/lines

// Load: complex fields as they stand.

@group(1) @binding(0) var<storage, read> input: array<real2>; // [fields, nx, ny]

fn load(at: Cell) -> real2 {
    return input[index(at)];
}
