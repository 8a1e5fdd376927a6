// How z (a convolution's output) and g (gradients of activations) are stored: in 16 bits, which is a matter
// of loads and stores alone: nothing is computed in them. `stored32.wgsl` is the 32-bit twin.
//
// A half has 11 significant bits, and numbers from 6e-5 (6e-8 with fewer bits, where a GPU does not flush
// them) to 65504. What lies beyond is stored as ±65504: an infinity would spread to a whole channel through
// its statistics.

alias stored = f16;
alias stored4 = vec4<f16>;

const PIVOTED: bool = true; // z is stored minus a pivot per channel, near which its values lie
const LARGEST: vec4<f32> = vec4(65504.0);

fn pack(z: vec4<f32>) -> stored4 {
    return stored4(clamp(z, -LARGEST, LARGEST));
}

fn unpack(z: stored4) -> vec4<f32> {
    return vec4<f32>(z);
}

// GRADIENT_SCALE is a power of two, set by the host: multiplying by it rounds nothing.
fn pack_gradient(g: vec4<f32>) -> stored4 {
    return pack(GRADIENT_SCALE * g);
}

fn unpack_gradient(g: stored4) -> vec4<f32> {
    return unpack(g) * (1.0 / GRADIENT_SCALE);
}
