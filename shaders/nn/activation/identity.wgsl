// x itself: what residual blocks have behind their shortcuts.

fn activate(x: vec4<f32>) -> vec4<f32> {
    return x;
}

fn activate_backward(x: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return g;
}
