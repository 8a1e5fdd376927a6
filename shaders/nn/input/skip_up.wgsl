//! needs lib/norm lib/norms lib/quads nn/input/activated

// Input of two parts: the activation of the skip connection's layer (channels below params.skip_channels),
// followed by the activation of a layer one level coarser, bilinearly upsampled ×2 with clamped border. No
// concatenated copy.

@group(1) @binding(0) var<storage, read> skip_z: array<stored4>; // [batch, skip_channels, nx, row/4]
// [batch, c_in - skip_channels, nx/2, coarse row]
@group(1) @binding(1) var<storage, read> low_z: array<stored>;

const INPUT_PARTS: u32 = 2u;

fn input_channel(c: u32, part: u32) -> Channel {
    if part == 0u {
        return Channel(forward_norm(params.input_norms + c), vec4(0.0), part);
    }
    return Channel(forward_norm(params.low_norms + c - params.skip_channels), vec4(0.0), part);
}

// The coarse cells under four fine cells from y on, and one on either side, clamped to the grid.
fn coarse_quad(row: u32, y: u32, ny: u32, norm: vec4<f32>) -> vec4<f32> {
    let cell = y / 2u;
    let last = vec3(ny - 1u);
    let inner = min(vec3(cell, cell + 1u, cell + 2u), last);
    let before = max(cell, 1u) - 1u;
    let z = stored4(low_z[row + before], low_z[row + inner.x], low_z[row + inner.y], low_z[row + inner.z]);
    return activate(pre_activation(unpack(z), norm));
}

// The coarse row over which a fine row x lies, and the neighbour towards which it leans: the next if x is
// odd, else the one before, clamped to the grid.
fn coarse_rows(n: u32, c: u32, x: u32) -> vec2<u32> {
    let nx = params.nx / 2u;
    let cell = x / 2u;
    let neighbour = select(max(cell, 1u) - 1u, min(cell + 1u, nx - 1u), (x & 1u) == 1u);
    let first_row = (n * (params.c_in - params.skip_channels) + c - params.skip_channels) * nx;
    return (vec2(cell, neighbour) + first_row) * row_cells(params.ny / 2u);
}

// Three quarters of the near cells and one of the far ones. Only one of the two products is rounded, and the
// fma says which: left to itself a compiler may fuse either, and another one in another variant.
fn lean(near: vec4<f32>, far: vec4<f32>) -> vec4<f32> {
    return fma(vec4(0.25), far, 0.75 * near);
}

fn input_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    if channel.part == 0u {
        let at = quad_at(n * params.skip_channels + c, x, y, params.nx, params.ny);
        return activate(pre_activation(unpack(skip_z[at]), channel.forward));
    }
    let ny = params.ny / 2u;
    let rows = coarse_rows(n, c, x);
    let near = coarse_quad(rows.x, y, ny, channel.forward);
    let far = coarse_quad(rows.y, y, ny, channel.forward);
    let column = lean(near, far);
    return lean(column.yyzz, column.xzyw);
}

fn input_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    if channel.part == 0u {
        let plane = n * params.skip_channels + c;
        let own = skip_z[quad_at(plane, x, y, params.nx, params.ny)];
        let y_before = (y + params.ny - 4u) & (params.ny - 1u);
        let before = skip_z[quad_at(plane, x, y_before, params.nx, params.ny)].w;
        let after = skip_z[quad_at(plane, x, (y + 4u) & (params.ny - 1u), params.nx, params.ny)].x;
        return activated_row(before, own, after, channel.forward);
    }
    // The coarse cells under the fine cells y - 1 … y + 4: cell - 1, cell, cell + 1, cell + 2 on a periodic
    // grid. Where the grid ends it is periodic for the convolution, but clamped for the upsampling.
    let cell = y / 2u;
    let ny = params.ny / 2u;
    let places = vec4((cell + ny - 1u) & (ny - 1u), cell, cell + 1u, (cell + 2u) & (ny - 1u));
    let rows = coarse_rows(n, c, x);
    let near = coarse_cells(rows.x, places, channel.forward);
    let far = coarse_cells(rows.y, places, channel.forward);
    let column = lean(near, far);
    let is_first = y == 0u;
    let is_last = cell + 2u == ny;
    let before = select(column.yx, column.xy, is_first); // towards which the cells y - 1 and y lean
    let after = select(column.wz, column.zw, is_last);
    return Row(lean(column.xyyz, vec4(before, column.zy)), lean(column.zwzw, after.xyxy).xy);
}

fn coarse_cells(row: u32, cells: vec4<u32>, norm: vec4<f32>) -> vec4<f32> {
    let z = stored4(low_z[row + cells.x], low_z[row + cells.y], low_z[row + cells.z], low_z[row + cells.w]);
    return activate(pre_activation(unpack(z), norm));
}
