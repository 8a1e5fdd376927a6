// Source: the 2×2 max-pooled activation of a layer one level finer.

@group(1) @binding(0) var<storage, read> source_z: array<stored4>; // [batch, c_in, 2·nx, fine row/4]
@group(1) @binding(1) var<storage, read> source_norm: array<vec4<f32>>; // [c_in, 2]

fn source_channel(c: u32) -> Channel {
    return Channel(source_norm[2u * c], vec4(0.0));
}

// Maximum of the two fine rows that a pooled row covers, four fine cells from column y on.
fn higher(plane: u32, x: u32, y: u32, norm: vec4<f32>) -> vec4<f32> {
    let upper = unpack(source_z[quad_at(plane, 2u * x, y, 2u * params.nx, 2u * params.ny)]);
    let lower = unpack(source_z[quad_at(plane, 2u * x + 1u, y, 2u * params.nx, 2u * params.ny)]);
    return max(pre_activation(upper, norm), pre_activation(lower, norm));
}

fn source_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let plane = n * params.c_in + c;
    let left = higher(plane, x, 2u * y, channel.forward);
    // A fine row of four cells holds no second quad: what stands in for it falls into the padding.
    let right = higher(plane, x, min(2u * y + 4u, row_cells(2u * params.ny) - 4u), channel.forward);
    let pooled = max(vec4(left.xz, right.xz), vec4(left.yw, right.yw));
    return max(pooled, vec4(0.0)); // ReLU is monotone: once, after the maximum
}
