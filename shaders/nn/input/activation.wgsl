//! needs lib/norm lib/norms lib/quads nn/input/activated

// Input: the activation of a layer at the same level, activate(batch norm(z)), or of pooled z: the maximum
// of activations is the activation of what epilogue/pooled.wgsl has kept.

@group(1) @binding(0) var<storage, read> input_z: array<stored4>; // [batch, c_in, nx, row/4]

const INPUT_PARTS: u32 = 1u;

fn input_channel(c: u32, part: u32) -> Channel {
    return Channel(forward_norm(params.input_norms + c), vec4(0.0), part);
}

fn input_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let at = quad_at(n * params.c_in + c, x, y, params.nx, params.ny);
    return activate(pre_activation(unpack(input_z[at]), channel.forward));
}

// It loads a single number from each neighbour of a quad.
fn input_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let plane = n * params.c_in + c;
    let own = input_z[quad_at(plane, x, y, params.nx, params.ny)];
    let before = input_z[quad_at(plane, x, (y + params.ny - 4u) & (params.ny - 1u), params.nx, params.ny)].w;
    let after = input_z[quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny)].x;
    return activated_row(before, own, after, channel.forward);
}
