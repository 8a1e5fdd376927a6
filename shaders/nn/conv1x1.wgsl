//! needs lib/grid lib/quads

// The final 1×1 convolution: o[n,p] = b + Σ_c w_c·a[n,c,p] with the last layer's activations a (method §5).
// One invocation per quad of pixels.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    weight_offset: u32,
    bias_offset: u32,
    input_norms: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>; // [batch, nx, row/4]

const ABREAST = 4u; // channels whose loads are in flight at once

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let row_quads = row_cells(params.ny) / 4u;
    if i >= params.batch * params.nx * row_quads {
        return;
    }
    let n = i / (params.nx * row_quads);
    let x = i / row_quads % params.nx;
    let y = i % row_quads * 4u;
    var sum = vec4(weights[params.bias_offset]);
    for (var start = 0u; start < params.c_in; start += ABREAST) {
        for (var k = 0u; k < ABREAST; k++) {
            let c = min(start + k, params.c_in - 1u);
            let share = weights[params.weight_offset + c] * input_quad(n, c, x, y, input_channel(c, 0u));
            sum += select(vec4(0.0), share, start + k < params.c_in);
        }
    }
    output[i] = sum;
}
