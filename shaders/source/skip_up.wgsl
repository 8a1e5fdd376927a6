// Source: the activation of the skip connection's layer (channels below params.skip_channels), followed by the
// activation of a layer one level coarser, bilinearly upsampled ×2 with clamped border. No concatenated copy.

@group(1) @binding(0) var<storage, read> skip_z: array<f32>; // [batch, skip_channels, nx, ny]
@group(1) @binding(1) var<storage, read> skip_norm: array<vec4<f32>>; // [skip_channels]
@group(1) @binding(2) var<storage, read> low_z: array<f32>; // [batch, c_in - skip_channels, nx/2, ny/2]
@group(1) @binding(3) var<storage, read> low_norm: array<vec4<f32>>; // [c_in - skip_channels]

// The coarse cell of a fine one (x) and the neighbour it leans towards, clamped (y).
fn coarse_taps(fine: u32, coarse_size: u32) -> vec2<u32> {
    let cell = fine / 2u;
    let before = max(cell, 1u) - 1u;
    let after = min(cell + 1u, coarse_size - 1u);
    return vec2(cell, select(before, after, (fine & 1u) == 1u));
}

fn load(n: u32, c: u32, x: u32, y: u32) -> f32 {
    if c < params.skip_channels {
        return activate(skip_z[((n * params.skip_channels + c) * params.nx + x) * params.ny + y], skip_norm[c]);
    }
    let channel = c - params.skip_channels;
    let norm = low_norm[channel];
    let nx = params.nx / 2u;
    let ny = params.ny / 2u;
    let base = (n * (params.c_in - params.skip_channels) + channel) * nx * ny;
    let rows = base + coarse_taps(x, nx) * ny;
    let columns = coarse_taps(y, ny);
    let near = 0.75 * activate(low_z[rows.x + columns.x], norm) + 0.25 * activate(low_z[rows.x + columns.y], norm);
    let far = 0.75 * activate(low_z[rows.y + columns.x], norm) + 0.25 * activate(low_z[rows.y + columns.y], norm);
    return 0.75 * near + 0.25 * far;
}
