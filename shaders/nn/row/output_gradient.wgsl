// source_row, as in row/of_quads.wgsl, of the source gradient of the last layer.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let plane = n * params.c_in + c;
    let y_before = (y + params.ny - 4u) & (params.ny - 1u);
    let y_after = (y + 4u) & (params.ny - 1u);
    let z = gradient_z[quad_at(plane, x, y, params.nx, params.ny)];
    let z_before = gradient_z[quad_at(plane, x, y_before, params.nx, params.ny)].w;
    let z_after = gradient_z[quad_at(plane, x, y_after, params.nx, params.ny)].x;
    let output = output_gradient[quad_at(n, x, y, params.nx, params.ny)];
    let output_before = output_gradient[quad_at(n, x, y_before, params.nx, params.ny)].w;
    let output_after = output_gradient[quad_at(n, x, y_after, params.nx, params.ny)].x;
    let left = gradient_of(vec4(output_before, output.xyz), unpack(stored4(z_before, z.xyz)), channel);
    let after = unpack(stored4(z.w, z_after, z_after, z_after));
    let right = gradient_of(vec4(output.w, vec3(output_after)), after, channel);
    return Row(left, right.xy);
}
