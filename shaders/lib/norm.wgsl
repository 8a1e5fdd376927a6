// What a quad of one channel is made with. Batch norm: forward = (mean, rstd, scale, shift) with scale =
// γ·rstd and shift = β. Its backward pass: backward = (factor of g, mean, constant, factor of z - mean), see
// gradient/stored.
struct Channel {
    forward: vec4<f32>,
    backward: vec4<f32>,
    part: u32, // of the input
}

// The activation's argument. The mean is subtracted first: scale·z + (β - scale·mean) would cancel where
// mean² ≫ variance. Every kernel makes it with this one expression, so that forward and backward agree on its
// sign.
fn pre_activation(z: vec4<f32>, norm: vec4<f32>) -> vec4<f32> {
    return fma(vec4(norm.z), z - norm.x, vec4(norm.w));
}

// ẑ = (z - mean)·rstd
fn standardise(z: vec4<f32>, norm: vec4<f32>) -> vec4<f32> {
    return (z - norm.x) * norm.y;
}
