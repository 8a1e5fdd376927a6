// One channel's batch norm as vec4(mean, rstd, scale, shift), with scale = γ·rstd and shift = β - mean·scale.
// fma wherever ReLU's argument is made, so that forward and backward round it alike and agree on its sign.

fn pre_activation(z: f32, norm: vec4<f32>) -> f32 {
    return fma(norm.z, z, norm.w);
}

fn activate(z: f32, norm: vec4<f32>) -> f32 {
    return max(pre_activation(z, norm), 0.0);
}

// ẑ = (z - mean)·rstd
fn standardise(z: f32, norm: vec4<f32>) -> f32 {
    return (z - norm.x) * norm.y;
}
