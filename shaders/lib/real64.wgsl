//! needs lib/exp64

// The scalar of the physics shaders in 64 bits (Vulkan with SHADER_F64 only); `real32.wgsl` is its 32-bit
// twin. Literals need no suffix where they meet a `real`: WGSL's abstract numbers carry 64 bits.

alias real = f64;
alias real2 = vec2<f64>;
alias real4 = vec4<f64>;

fn exponential(x: real) -> real {
    return exp64(x);
}
