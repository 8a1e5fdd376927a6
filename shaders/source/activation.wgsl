// Source: the activation ReLU(batch norm(z)) of a layer at the same level.

@group(1) @binding(0) var<storage, read> source_z: array<f32>; // [batch, c_in, nx, ny]
@group(1) @binding(1) var<storage, read> source_norm: array<vec4<f32>>; // [c_in]

fn load(n: u32, c: u32, x: u32, y: u32) -> f32 {
    return activate(source_z[((n * params.c_in + c) * params.nx + x) * params.ny + y], source_norm[c]);
}
