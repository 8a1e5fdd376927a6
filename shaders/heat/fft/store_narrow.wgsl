//! needs heat/fft/lines

// Store: as store_real, rounded to the network's 32 bits (method §0).

@group(2) @binding(0) var<storage, read_write> output: array<f32>; // [batch, nx, ny]

fn store(at: Cell, value: real2) {
    let sample = 2u * at.field;
    output[index(Cell(sample, at.x, at.y))] = f32(value.x);
    if sample + 1u < params.batch {
        output[index(Cell(sample + 1u, at.x, at.y))] = f32(value.y);
    }
}
