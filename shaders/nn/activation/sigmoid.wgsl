// σ(x) = 1/(1 + exp(-x)). Exponentials are of -|x|: nothing overflows.

fn activate(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(vec4(1.0), e, x < vec4(0.0)) / (1.0 + e);
}

// The slope is σ(x)·(1 - σ(x)), and 1 - σ(x) = σ(-x).
fn activate_backward(x: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return g * (activate(x) * activate(-x));
}
