//! needs nn/batch_norm/backward

// The sums are those of the batch: keeps the gradients of γ and β, and says what ∂L/∂z is.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // 0: the layer is not pooled
    // Offset of the 1×1 convolution's weights, which the last layer's g lacks; 0xffffffff: none
    output_weight: u32,
    gamma_offset: u32,
    beta_offset: u32,
    count: f32, // values per channel: batch·cells
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> gradients: array<f32>; // the flat parameter gradients
// [all channels, 2], the second is written
@group(0) @binding(5) var<storage, read_write> norms: array<vec4<f32>>;

fn conclude(channel: u32, weight: f32, total: vec2<f32>) {
    let both = weight * total;
    gradients[params.beta_offset + channel] = both.x;
    gradients[params.gamma_offset + channel] = both.y;
    let at = 2u * (params.first_norm + channel);
    norms[at + 1u] = backward_norm(norms[at], weight, both, params.count);
}
