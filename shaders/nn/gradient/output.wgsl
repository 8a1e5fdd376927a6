//! needs lib/norm lib/norms lib/quads

// ∂L/∂z of the last layer, whose g is never stored: the 1×1 convolution's weight times ∂L/∂output where the
// ReLU let the value pass. The weight is part of the channel's factor of g; the rest is as in
// gradient/stored.

@group(2) @binding(0) var<storage, read> output_gradient: array<vec4<f32>>; // [batch, nx, ny/4]
@group(2) @binding(1) var<storage, read> gradient_z: array<stored4>; // [batch, channels, nx, ny/4]

fn gradient_channel(c: u32) -> Channel {
    return Channel(forward_norm(params.gradient_norms + c), backward_norm(params.gradient_norms + c), 0u);
}

// `plane` counts samples and channels.
fn gradient_quad(plane: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let z = gradient_z[quad_at(plane, x, y, params.nx, params.ny)];
    let output = output_gradient[quad_at(plane / GRADIENT_CHANNELS, x, y, params.nx, params.ny)];
    return gradient_of(output, unpack(z), channel);
}

fn gradient_of(output: vec4<f32>, z: vec4<f32>, channel: Channel) -> vec4<f32> {
    let passed = pre_activation(z, channel.forward) > vec4(0.0);
    let g = select(vec4(0.0), output, passed);
    let k = channel.backward;
    return fma(vec4(k.x), g, fma(vec4(k.w), z - k.y, vec4(k.z)));
}

// As input/plain says of input_row, for the convolution that reads this gradient.
fn gradient_row(plane: u32, x: u32, y: u32, channel: Channel) -> Row {
    let n = plane / GRADIENT_CHANNELS;
    let y_before = (y + params.ny - 4u) & (params.ny - 1u);
    let y_after = (y + 4u) & (params.ny - 1u);
    let z = gradient_z[quad_at(plane, x, y, params.nx, params.ny)];
    let z_before = gradient_z[quad_at(plane, x, y_before, params.nx, params.ny)].w;
    let z_after = gradient_z[quad_at(plane, x, y_after, params.nx, params.ny)].x;
    let output = output_gradient[quad_at(n, x, y, params.nx, params.ny)];
    let output_before = output_gradient[quad_at(n, x, y_before, params.nx, params.ny)].w;
    let output_after = output_gradient[quad_at(n, x, y_after, params.nx, params.ny)].x;
    let left = gradient_of(vec4(output_before, output.xyz), unpack(stored4(z_before, z.xyz)), channel);
    let after = unpack(stored4(z.w, z_after, z_after, z_after));
    let right = gradient_of(vec4(output.w, vec3(output_after)), after, channel);
    return Row(left, right.xy);
}
