// The sums are those of one of several micro-batches that are normalised together: keeps its gradients of γ
// and β, and the sums for whoever adds up those of all.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // as of backward_whole, as the next one
    output_weight: u32,
    gamma_offset: u32,
    beta_offset: u32,
    part: u32, // the micro-batch
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> gradients: array<f32>; // the flat parameter gradients
@group(0) @binding(5) var<storage, read_write> merged: array<vec2<f32>>; // [channels, parts]

fn conclude(channel: u32, weight: f32, total: vec2<f32>) {
    gradients[params.beta_offset + channel] = weight * total.x;
    gradients[params.gamma_offset + channel] = weight * total.y;
    merged[channel * params.parts + params.part] = total;
}
