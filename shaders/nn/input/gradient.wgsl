//! needs lib/norm lib/quads

// Input of the adjoint convolution: ∂L/∂z of the layer behind it, made by the file in gradient/.

const INPUT_PARTS: u32 = 1u;

fn input_channel(c: u32, part: u32) -> Channel {
    return gradient_channel(c);
}

fn input_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    return gradient_quad(n * params.c_in + c, x, y, channel);
}

fn input_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    return gradient_row(n * params.c_in + c, x, y, channel);
}
