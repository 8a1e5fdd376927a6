// source_padded, as in padded.wgsl, of the source skip_up.

// The coarse cells under the fine cells y - 1 … y + 2, y a multiple of four: cell - 1, on a periodic grid, cell, cell + 1.
fn coarse_triple(row: u32, cell: u32, before: u32, norm: vec4<f32>) -> vec4<f32> {
    let next = low_z[row + cell + 1u];
    let z = stored4(low_z[row + before], low_z[row + cell], next, next);
    return activate(pre_activation(unpack(z), norm));
}

// As two quads would give it, from half as many loads and activations.
fn source_padded(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    if channel.part == 0u {
        return padded_of_quads(n, c, x, y, channel);
    }
    let cell = y / 2u;
    let first = y == 0u; // where the grid is periodic for the convolution, but clamped for the upsampling
    let before = select(cell, params.ny / 2u, first) - 1u;
    let rows = coarse_rows(n, c, x);
    let near = coarse_triple(rows.x, cell, before, channel.forward);
    let far = coarse_triple(rows.y, cell, before, channel.forward);
    let column = 0.75 * near + 0.25 * far;
    let leaning = select(column.yx, column.xy, first);
    return 0.75 * column.xyyz + 0.25 * vec4(leaning, column.zy);
}
