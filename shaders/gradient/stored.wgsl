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
    let k = channel.backward;
    let g = unpack_gradient(gradient_g[at]);
    return fma(vec4(k.x), g, fma(vec4(k.w), unpack(gradient_z[at]) - k.y, vec4(k.z)));
}
