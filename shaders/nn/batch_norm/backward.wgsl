// ∂L/∂z = scale·(g - Σg/n - ẑ·Σgẑ/n) of a channel as one vector for those who make it (gradient/). `weight`
// is that of the 1×1 convolution, which the last layer's g lacks.
fn backward_norm(forward: vec4<f32>, weight: f32, sums: vec2<f32>, count: f32) -> vec4<f32> {
    let scale = forward.z / count;
    return vec4(forward.z * weight, forward.x, -scale * sums.x, -scale * forward.y * sums.y);
}
