// source_row, as in row/of_quads.wgsl, of the source skip_up.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    if channel.part == 0u {
        let plane = n * params.skip_channels + c;
        let own = skip_z[quad_at(plane, x, y, params.nx, params.ny)];
        let before = skip_z[quad_at(plane, x, (y + params.ny - 4u) & (params.ny - 1u), params.nx, params.ny)].w;
        let after = skip_z[quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny)].x;
        return activated_row(before, own, after, channel.forward);
    }
    // The coarse cells under the fine cells y - 1 … y + 4: cell - 1, cell, cell + 1, cell + 2 on a periodic grid. Where the
    // grid ends it is periodic for the convolution, but clamped for the upsampling.
    let cell = y / 2u;
    let ny = params.ny / 2u;
    let places = vec4((cell + ny - 1u) & (ny - 1u), cell, cell + 1u, (cell + 2u) & (ny - 1u));
    let rows = coarse_rows(n, c, x);
    let near = coarse_cells(rows.x, places, channel.forward);
    let far = coarse_cells(rows.y, places, channel.forward);
    let column = 0.75 * near + 0.25 * far;
    let is_first = y == 0u;
    let is_last = cell + 2u == ny;
    let before = select(column.yx, column.xy, is_first); // towards which the cells y - 1 and y lean
    let after = select(column.wz, column.zw, is_last);
    return Row(
        0.75 * column.xyyz + 0.25 * vec4(before, column.zy),
        0.75 * column.zw + 0.25 * after,
    );
}

fn coarse_cells(row: u32, cells: vec4<u32>, norm: vec4<f32>) -> vec4<f32> {
    let z = stored4(low_z[row + cells.x], low_z[row + cells.y], low_z[row + cells.z], low_z[row + cells.w]);
    return activate(pre_activation(unpack(z), norm));
}
