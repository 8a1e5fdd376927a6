//! needs lib/grid

// A layer without batch norm: its activation's argument is z plus the convolution's bias, written as the
// normalisation with mean 0, deviation 1, scale 1 and shift b, so that readers need not know. One invocation
// per channel.

struct Params {
    channels: u32,
    bias_offset: u32,
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // the flat parameters
// [all channels, 2], the first: mean, rstd, scale, shift
@group(0) @binding(2) var<storage, read_write> norms: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = flat_index(workgroup, workgroups, local, WORKGROUP);
    if channel < params.channels {
        let shift = weights[params.bias_offset + channel];
        norms[2u * (params.first_norm + channel)] = vec4(0.0, 1.0, 1.0, shift);
    }
}
