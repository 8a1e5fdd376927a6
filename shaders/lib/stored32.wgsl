// How z (a convolution's output) and g (gradients of activations) are stored: in 32 bits, as they are.
// `stored16.wgsl` is the 16-bit twin.

alias stored = f32;
alias stored4 = vec4<f32>;

const PIVOTED: bool = false; // whether z is stored minus a pivot per channel

fn pack(z: vec4<f32>) -> stored4 {
    return z;
}

fn unpack(z: stored4) -> vec4<f32> {
    return z;
}

fn pack_gradient(g: vec4<f32>) -> stored4 {
    return g;
}

fn unpack_gradient(g: stored4) -> vec4<f32> {
    return g;
}
