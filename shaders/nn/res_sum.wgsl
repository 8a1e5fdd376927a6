//! needs lib/grid lib/norm lib/norms lib/quads

// The sum of a residual block: activate(norm(z)) + shortcut, where the shortcut is the norm of its 1×1
// convolution's z, or the block's input behind the norm that changes nothing. One invocation per quad.

struct Params {
    planes: u32, // samples and channels
    channels: u32,
    nx: u32,
    ny: u32,
    first_norm: u32,
    shortcut_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<stored4>; // [planes, nx, row/4]
@group(0) @binding(2) var<storage, read> shortcut: array<stored4>; // likewise
@group(0) @binding(3) var<storage, read_write> sum: array<stored4>; // likewise

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let per_plane = params.nx * row_cells(params.ny) / 4u;
    if i >= params.planes * per_plane {
        return;
    }
    let c = i / per_plane % params.channels;
    let own = activate(pre_activation(unpack(z[i]), forward_norm(params.first_norm + c)));
    let other = pre_activation(unpack(shortcut[i]), forward_norm(params.shortcut_norm + c));
    sum[i] = pack(own + other);
}
