// The scalar of the physics shaders in 32 bits; `real64.wgsl` is its 64-bit twin.

alias real = f32;
alias real2 = vec2<f32>;
alias real4 = vec4<f32>;

fn exponential(x: real) -> real {
    return exp(x);
}
