//! needs heat/fft/lines

// Load: as load_real, from the network's 32 bits (method §0).

@group(1) @binding(0) var<storage, read> input: array<f32>; // [batch, nx, ny]

fn load(at: Cell) -> real2 {
    let u = 2u * at.field;
    let v = min(u + 1u, params.batch - 1u);
    let cells = real2(real(input[index(Cell(u, at.x, at.y))]), real(input[index(Cell(v, at.x, at.y))]));
    return select(real2(cells.x, 0.0), cells, u < v);
}
