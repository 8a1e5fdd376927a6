// The batch norms of all layers in one table, so that a kernel that meets three layers binds one buffer for
// them. A layer's channels start where the parameters say.

@group(0) @binding(8) var<storage, read> norms: array<vec4<f32>>; // [all channels, 2]: forward, backward

fn forward_norm(c: u32) -> vec4<f32> {
    return norms[2u * c];
}

fn backward_norm(c: u32) -> vec4<f32> {
    return norms[2u * c + 1u];
}
