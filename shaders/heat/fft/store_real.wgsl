//! needs heat/fft/lines

// Store: one complex field u + i·v as two real fields; the partner of an odd last sample is dropped.

@group(2) @binding(0) var<storage, read_write> output: array<real>; // [batch, nx, ny]

fn store(at: Cell, value: real2) {
    let sample = 2u * at.field;
    output[index(Cell(sample, at.x, at.y))] = value.x;
    if sample + 1u < params.batch {
        output[index(Cell(sample + 1u, at.x, at.y))] = value.y;
    }
}
