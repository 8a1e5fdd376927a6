//! needs lib/norm lib/norms lib/quads

// ∂L/∂z of a layer from g = ∂L/∂(the activation's argument), as stored by the kernel that made it, and the
// layer's own z: ∂L/∂z = scale·(g - mean(g) - ẑ·mean(g·ẑ)) (method §5), with everything but g and z folded
// into one vector per channel.

@group(2) @binding(0) var<storage, read> gradient_g: array<stored4>; // [batch, channels, nx, row/4]
@group(2) @binding(1) var<storage, read> gradient_z: array<stored4>; // likewise

fn gradient_channel(c: u32) -> Channel {
    return Channel(vec4(0.0), backward_norm(params.gradient_norms + c), 0u);
}

// `plane` counts samples and channels.
fn gradient_quad(plane: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let at = quad_at(plane, x, y, params.nx, params.ny);
    return gradient_of(gradient_g[at], gradient_z[at], channel.backward);
}

fn gradient_of(g: stored4, z: stored4, k: vec4<f32>) -> vec4<f32> {
    return fma(vec4(k.x), unpack_gradient(g), fma(vec4(k.w), unpack(z) - k.y, vec4(k.z)));
}

// As input/plain says of input_row, for the convolution that reads this gradient.
fn gradient_row(plane: u32, x: u32, y: u32, channel: Channel) -> Row {
    let here = quad_at(plane, x, y, params.nx, params.ny);
    let before = quad_at(plane, x, (y + params.ny - 4u) & (params.ny - 1u), params.nx, params.ny);
    let after = quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny);
    let g = gradient_g[here];
    let z = gradient_z[here];
    let g_after = gradient_g[after].x;
    let z_after = gradient_z[after].x;
    let right = gradient_of(
        stored4(g.w, g_after, g_after, g_after),
        stored4(z.w, z_after, z_after, z_after),
        channel.backward,
    );
    let left = gradient_of(
        stored4(gradient_g[before].w, g.xyz),
        stored4(gradient_z[before].w, z.xyz),
        channel.backward,
    );
    return Row(left, right.xy);
}
