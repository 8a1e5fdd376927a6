// Source: the 2×2 max-pooled activation of a layer one level finer.

@group(1) @binding(0) var<storage, read> source_z: array<f32>; // [batch, c_in, 2·nx, 2·ny]
@group(1) @binding(1) var<storage, read> source_norm: array<vec4<f32>>; // [c_in]

fn load(n: u32, c: u32, x: u32, y: u32) -> f32 {
    let norm = source_norm[c];
    let stride = 2u * params.ny;
    let corner = ((n * params.c_in + c) * 2u * params.nx + 2u * x) * stride + 2u * y;
    let upper = max(pre_activation(source_z[corner], norm), pre_activation(source_z[corner + 1u], norm));
    let lower =
        max(pre_activation(source_z[corner + stride], norm), pre_activation(source_z[corner + stride + 1u], norm));
    return max(max(upper, lower), 0.0); // ReLU is monotone: once, after the maximum
}
