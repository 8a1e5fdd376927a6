//! needs lib/norm lib/quads

// A source is what a convolution reads: source_quad(sample, channel, x, y, of the channel) is four cells
// along y of the field `params.c_in` × `params.nx` × `params.ny`. This one is an array as it stands.

@group(1) @binding(0) var<storage, read> source_field: array<vec4<f32>>; // [batch, c_in, nx, row/4]

const SOURCE_PARTS: u32 = 1u;

fn source_channel(c: u32, part: u32) -> Channel {
    return Channel();
}

fn source_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    return source_field[quad_at(n * params.c_in + c, x, y, params.nx, params.ny)];
}

// source_row(sample, channel, x, y, of the channel) is the cell before y, on a periodic grid, the four from y
// on, and the one after them; y is a multiple of four.
fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let before = source_quad(n, c, x, (y + params.ny - 4u) & (params.ny - 1u), channel);
    let own = source_quad(n, c, x, y, channel);
    let after = source_quad(n, c, x, (y + 4u) & (params.ny - 1u), channel);
    return Row(vec4(before.w, own.xyz), vec2(own.w, after.x));
}
