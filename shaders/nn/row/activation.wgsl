// source_row, as in row/of_quads.wgsl, of the source activation: of its neighbours it loads one number each.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let plane = n * params.c_in + c;
    let own = source_z[quad_at(plane, x, y, params.nx, params.ny)];
    let before = source_z[quad_at(plane, x, (y + params.ny - 4u) & (params.ny - 1u), params.nx, params.ny)].w;
    let after = source_z[quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny)].x;
    return activated_row(before, own, after, channel.forward);
}
