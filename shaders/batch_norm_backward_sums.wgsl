// Backward of ReLU(batch norm(z)), first part: Σg and Σg·ẑ over one chunk of one channel, where g is the
// gradient that passes the ReLU. One workgroup per (chunk, channel), chunks as in batch_norm_moments.

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
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>; // [channels]
@group(0) @binding(3) var<storage, read> gradient: array<f32>; // ∂L/∂activation [batch, channels, cells]
@group(0) @binding(4) var<storage, read_write> partial: array<vec2<f32>>; // [channels, chunks]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let chunk = workgroup.x;
    let channel = workgroup.y;
    let first_sample = chunk / params.segments * params.samples_per_chunk;
    let samples = min(params.samples_per_chunk, params.batch - first_sample);
    let sample_stride = params.channels * params.cells;
    let first = first_sample * sample_stride + channel * params.cells + chunk % params.segments * params.segment;
    let channel_norm = norm[channel];
    var sums = vec2(0.0);
    for (var i = local; i < samples * params.segment; i += WORKGROUP) {
        let at = first + i / params.segment * sample_stride + i % params.segment;
        let value = z[at];
        if pre_activation(value, channel_norm) > 0.0 {
            sums += gradient[at] * vec2(1.0, standardise(value, channel_norm));
        }
    }
    let g = workgroup_sum(local, sums.x);
    let gz = workgroup_sum(local, sums.y);
    if local == 0u {
        partial[channel * params.chunks + chunk] = vec2(g, gz);
    }
}
