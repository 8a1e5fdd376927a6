// The final 1×1 convolution: o[n,p] = b + Σ_c w_c·a[n,c,p] with the last layer's activations a (SPEC 5).
// One invocation per pixel.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    weight_offset: u32,
    bias_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(2) var<storage, read_write> output: array<f32>; // [batch, nx, ny]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let cells = params.nx * params.ny;
    if i >= params.batch * cells {
        return;
    }
    let n = i / cells;
    let x = i / params.ny % params.nx;
    let y = i % params.ny;
    var sum = weights[params.bias_offset];
    for (var c = 0u; c < params.c_in; c++) {
        sum += weights[params.weight_offset + c] * load(n, c, x, y);
    }
    output[i] = sum;
}
