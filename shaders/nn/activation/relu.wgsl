// An activation is a function and its backward pass: this one is max(x, 0), whose slope at 0 is 0.

fn activate(x: vec4<f32>) -> vec4<f32> {
    return max(x, vec4(0.0));
}

// ∂L/∂x from x and g = ∂L/∂(the function at x).
fn activate_backward(x: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), g, x > vec4(0.0));
}
