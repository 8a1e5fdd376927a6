// ∂L/∂z of a layer from g = ∂L/∂(the activation's argument), as stored by the kernel that made it, and the layer's own z:
// ∂L/∂z = scale·(g - mean(g) - ẑ·mean(g·ẑ)) (SPEC 5), with everything but g and z folded into one vector per channel.

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
