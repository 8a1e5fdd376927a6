// The sums are those of one of several micro-batches that are normalised together: keeps them for whoever
// adds up all of these.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // 0: the layer is not pooled
    gamma_offset: u32,
    beta_offset: u32,
    output_weight: u32, // as of backward_whole
    part: u32, // the micro-batch
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> merged: array<vec2<f32>>; // [channels, parts]

fn conclude(channel: u32, weight: f32, both: vec2<f32>) {
    merged[channel * params.parts + params.part] = both;
}
