// source_row, as in row/of_quads.wgsl, of the source gradient as stored.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let plane = n * params.c_in + c;
    let here = quad_at(plane, x, y, params.nx, params.ny);
    let before = quad_at(plane, x, (y + params.ny - 4u) & (params.ny - 1u), params.nx, params.ny);
    let after = quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny);
    let g = gradient_g[here];
    let z = gradient_z[here];
    let g_after = gradient_g[after].x;
    let z_after = gradient_z[after].x;
    let right = gradient_of(
        stored4(g.w, g_after, g_after, g_after),
        stored4(z.w, z_after, z_after, z_after),
        channel.backward,
    );
    let left = gradient_of(
        stored4(gradient_g[before].w, g.xyz),
        stored4(gradient_z[before].w, z.xyz),
        channel.backward,
    );
    return Row(left, right.xy);
}
