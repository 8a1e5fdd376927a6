// A source is what a convolution reads: load(sample, channel, x, y) of the field `params.c_in` × `params.nx` ×
// `params.ny`. This one is an array as it stands.

@group(1) @binding(0) var<storage, read> source_field: array<f32>; // [batch, c_in, nx, ny]

fn load(n: u32, c: u32, x: u32, y: u32) -> f32 {
    return source_field[((n * params.c_in + c) * params.nx + x) * params.ny + y];
}
