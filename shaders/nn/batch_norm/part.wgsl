// The moments are those of one of several micro-batches that are normalised together: keeps them for whoever
// merges all of these.

struct Params {
    chunks: u32,
    part: u32, // the micro-batch
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> merged: array<f32>; // [channels, parts, 3]

fn conclude(channel: u32, all: vec3<f32>) {
    let at = 3u * (channel * params.parts + params.part);
    merged[at] = all.x;
    merged[at + 1u] = all.y;
    merged[at + 2u] = all.z;
}
