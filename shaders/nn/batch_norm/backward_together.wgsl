//! needs nn/batch_norm/backward

// The sums are those of all micro-batches that are normalised together, each of which has kept its gradients:
// says what ∂L/∂z is in all of them.

struct Params {
    chunks: u32, // micro-batches
    pooled_chunks: u32, // as of backward_whole, as the next one
    output_weight: u32,
    count: f32, // values per channel in all micro-batches
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [all channels, 2], the second is written
@group(0) @binding(4) var<storage, read_write> norms: array<vec4<f32>>;

fn conclude(channel: u32, weight: f32, total: vec2<f32>) {
    let at = 2u * (params.first_norm + channel);
    norms[at + 1u] = backward_norm(norms[at], weight, weight * total, params.count);
}
