// Load: two real fields as one complex field u + i·v: half the transforms, since every filter here is real and even.
// An odd last sample gets a zero partner.

@group(1) @binding(0) var<storage, read> input: array<real>; // [batch, nx, ny]

fn load(at: Cell) -> real2 {
    let sample = 2u * at.field;
    var value = real2(input[index(Cell(sample, at.x, at.y))], 0.0);
    if sample + 1u < params.batch {
        value.y = input[index(Cell(sample + 1u, at.x, at.y))];
    }
    return value;
}
