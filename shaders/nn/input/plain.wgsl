//! needs lib/norm lib/quads

// An input is what a convolution reads: input_quad(sample, channel, x, y, of the channel) is four cells
// along y of the field `params.c_in` × `params.nx` × `params.ny`. This one is an array as it stands.

@group(1) @binding(0) var<storage, read> input_field: array<vec4<f32>>; // [batch, c_in, nx, row/4]

const INPUT_PARTS: u32 = 1u;

fn input_channel(c: u32, part: u32) -> Channel {
    return Channel();
}

fn input_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    return input_field[quad_at(n * params.c_in + c, x, y, params.nx, params.ny)];
}

// input_row(sample, channel, x, y, of the channel) is the cell before y, on a periodic grid, the four from y
// on, and the one after them; y is a multiple of four.
fn input_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let before = input_quad(n, c, x, (y + params.ny - 4u) & (params.ny - 1u), channel);
    let own = input_quad(n, c, x, y, channel);
    let after = input_quad(n, c, x, (y + 4u) & (params.ny - 1u), channel);
    return Row(vec4(before.w, own.xyz), vec2(own.w, after.x));
}
