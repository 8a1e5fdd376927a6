// One channel's batch norm as vec4(mean, rstd, scale, shift), with scale = γ·rstd and shift = β.
// The mean is subtracted first: scale·z + (β - scale·mean) would cancel where mean² ≫ variance.
// Every kernel makes ReLU's argument with this one expression, so that forward and backward agree on its sign.

fn pre_activation(z: f32, norm: vec4<f32>) -> f32 {
    return fma(norm.z, z - norm.x, norm.w);
}

fn activate(z: f32, norm: vec4<f32>) -> f32 {
    return max(pre_activation(z, norm), 0.0);
}

// ẑ = (z - mean)·rstd
fn standardise(z: f32, norm: vec4<f32>) -> f32 {
    return (z - norm.x) * norm.y;
}
