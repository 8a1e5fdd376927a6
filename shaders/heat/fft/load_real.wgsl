//! needs heat/fft/lines

// Load: two real fields as one complex field u + i·v: half the transforms, since every filter here is real
// and even. An odd last sample gets a zero partner.

@group(1) @binding(0) var<storage, read> input: array<real>; // [batch, nx, ny]

fn load(at: Cell) -> real2 {
    let u = 2u * at.field;
    let v = min(u + 1u, params.batch - 1u);
    let cells = real2(input[index(Cell(u, at.x, at.y))], input[index(Cell(v, at.x, at.y))]);
    return select(real2(cells.x, 0.0), cells, u < v);
}
