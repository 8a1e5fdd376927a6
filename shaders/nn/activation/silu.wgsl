// x·σ(x) with the sigmoid σ. Exponentials are of -|x|: nothing overflows.

fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(vec4(1.0), e, x < vec4(0.0)) / (1.0 + e);
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(x);
}

// The slope is σ(x)·(1 + x·(1 - σ(x))), and 1 - σ(x) = σ(-x).
fn activate_backward(x: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return g * (sigmoid(x) * fma(x, sigmoid(-x), vec4(1.0)));
}
