//! needs lib/grid nn/batch_norm/backward

// Adds up Σg and Σg·ẑ of micro-batches that are normalised together, in their order, and says what ∂L/∂z is
// in all of them. One invocation per channel.

struct Params {
    channels: u32,
    parts: u32, // micro-batches
    output_weight: u32, // as of batch_norm/backward_whole
    count: f32, // values per channel in all micro-batches
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> merged: array<vec2<f32>>; // [channels, parts]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
// [all channels, 2], the second is written
@group(0) @binding(3) var<storage, read_write> norms: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = flat_index(workgroup, workgroups, local, WORKGROUP);
    if channel >= params.channels {
        return;
    }
    var both = vec2(0.0);
    for (var part = 0u; part < params.parts; part++) {
        both += merged[channel * params.parts + part];
    }
    var weight = 1.0;
    if params.output_weight != 0xffffffffu {
        weight = weights[params.output_weight + channel];
    }
    let at = 2u * (params.first_norm + channel);
    norms[at + 1u] = backward_norm(norms[at], weight, both, params.count);
}
