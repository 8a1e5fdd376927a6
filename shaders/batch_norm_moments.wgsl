// Batch norm, first half: count, mean and Σ(z - mean)² of one chunk of one channel (SPEC 5).
// The chunk's first value is the pivot of the mean: Σz² would lose every digit where mean² ≫ variance.
// One workgroup per (chunk, channel); a chunk is `segment` pixels of `samples_per_chunk` samples.

struct Params {
    batch: u32,
    channels: u32,
    cells: u32,
    samples_per_chunk: u32,
    segment: u32,
    segments: u32, // per sample: cells/segment
    chunks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [batch, channels, cells]
@group(0) @binding(2) var<storage, read_write> moments: array<f32>; // [channels, chunks, 3]: count, mean, m2

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let chunk = workgroup.x;
    let channel = workgroup.y;
    let first_sample = chunk / params.segments * params.samples_per_chunk;
    let samples = min(params.samples_per_chunk, params.batch - first_sample);
    let count = samples * params.segment;
    let sample_stride = params.channels * params.cells;
    let first = first_sample * sample_stride + channel * params.cells + chunk % params.segments * params.segment;
    let pivot = z[first];
    var deviation = 0.0;
    for (var i = local; i < count; i += WORKGROUP) {
        deviation += z[first + i / params.segment * sample_stride + i % params.segment] - pivot;
    }
    let mean = pivot + workgroup_sum(local, deviation) / f32(count);
    var squares = 0.0;
    for (var i = local; i < count; i += WORKGROUP) {
        let d = z[first + i / params.segment * sample_stride + i % params.segment] - mean;
        squares += d * d;
    }
    let m2 = workgroup_sum(local, squares);
    if local == 0u {
        let at = (channel * params.chunks + chunk) * 3u;
        moments[at] = f32(count);
        moments[at + 1u] = mean;
        moments[at + 2u] = m2;
    }
}
