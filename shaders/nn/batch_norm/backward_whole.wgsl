//! needs nn/batch_norm/backward

// The sums are those of the batch: says what ∂L/∂z is.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // 0: the layer is not pooled
    gamma_offset: u32,
    beta_offset: u32,
    // Offset of the 1×1 convolution's weights, which the last layer's g lacks; 0xffffffff: none
    output_weight: u32,
    count: f32, // values per channel: batch·cells
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [all channels, 2], the second is written
@group(0) @binding(5) var<storage, read_write> norms: array<vec4<f32>>;

fn conclude(channel: u32, weight: f32, both: vec2<f32>) {
    let at = 2u * (params.first_norm + channel);
    norms[at + 1u] = backward_norm(norms[at], weight, both, params.count);
}
