// source_row, as in row/of_quads.wgsl, of the source gradient of a pooled layer: the pair of cells before the quad and the
// one after it are as much work as one quad.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let plane = n * params.c_in + c;
    let y_before = (y + params.ny - 4u) & (params.ny - 1u);
    let y_after = (y + 4u) & (params.ny - 1u);
    let before = quad_at(plane, x, y_before, params.nx, params.ny);
    let after = quad_at(plane, x, y_after, params.nx, params.ny);
    let partner_before = quad_at(plane, x ^ 1u, y_before, params.nx, params.ny);
    let partner_after = quad_at(plane, x ^ 1u, y_after, params.nx, params.ny);
    let outer = gradient_of_pairs(
        // Of what lies outside of the six cells no gradient is needed.
        stored4(gradient_g[before].ww, gradient_g[after].xx),
        stored4(gradient_z[before].zw, gradient_z[after].xy),
        stored4(gradient_z[partner_before].zw, gradient_z[partner_after].xy),
        vec2(gradient_pooled[pooled_at(plane, x, y_before)].y, gradient_pooled[pooled_at(plane, x, y_after)].x),
        x,
        channel,
    );
    let own = gradient_quad(plane, x, y, channel);
    return Row(vec4(outer.y, own.xyz), vec2(own.w, outer.z));
}
