//! needs lib/norm lib/norms lib/quads

// ∂L/∂z of a layer that is pooled 2×2 and a skip connection: g is the skip connection's share, and in the
// cell of every four whose activation was the maximum, the first in row-major order on ties (method §5), that
// of the pooled value. The rest is as in gradient/stored. The maximum is found as epilogue/pooled.wgsl has
// found it: by z and the sign of the scale.

@group(2) @binding(0) var<storage, read> gradient_g: array<stored4>; // [batch, channels, nx, row/4]
@group(2) @binding(1) var<storage, read> gradient_z: array<stored4>; // likewise
// [batch, channels, nx/2, coarse row/2]
@group(2) @binding(2) var<storage, read> gradient_pooled: array<vec2<stored>>;

fn gradient_channel(c: u32) -> Channel {
    return Channel(forward_norm(params.gradient_norms + c), backward_norm(params.gradient_norms + c), 0u);
}

// `plane` counts samples and channels.
fn gradient_quad(plane: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let at = quad_at(plane, x, y, params.nx, params.ny);
    let partner = gradient_z[quad_at(plane, x ^ 1u, y, params.nx, params.ny)];
    let pooled = gradient_pooled[pooled_at(plane, x, y)];
    return gradient_of_pairs(gradient_g[at], gradient_z[at], partner, pooled, x, channel);
}

fn pooled_at(plane: u32, x: u32, y: u32) -> u32 {
    return ((plane * (params.nx / 2u) + x / 2u) * row_cells(params.ny / 2u) + y / 2u) / 2u;
}

// This is for two pairs of cells of row x; each is pooled with the pair in the `partner` row.
fn gradient_of_pairs(
    g: stored4,
    z: stored4,
    partner: stored4,
    pooled: vec2<stored>,
    x: u32,
    channel: Channel,
) -> vec4<f32> {
    let value = unpack(z);
    let direction = sign(channel.forward.z);
    let own = direction * value;
    let other = direction * unpack(partner);
    let beside = own.yxwz;
    let highest = max(own, beside);
    let other_highest = max(other, other.yxwz);
    // Among equal cells the left one comes first, and the upper row.
    let in_row = (own > beside) | ((own == beside) & vec4(true, false, true, false));
    let row = (highest > other_highest) | ((highest == other_highest) & vec4((x & 1u) == 0u));
    let all = unpack_gradient(g) + select(vec4(0.0), unpack_gradient(pooled.xxyy), in_row & row);
    let k = channel.backward;
    return fma(vec4(k.x), all, fma(vec4(k.w), value - k.y, vec4(k.z)));
}

// As input/plain says of input_row, for the convolution that reads this gradient: the pair of cells before
// the quad and the one after it are as much work as one quad.
fn gradient_row(plane: u32, x: u32, y: u32, channel: Channel) -> Row {
    let y_before = (y + params.ny - 4u) & (params.ny - 1u);
    let y_after = (y + 4u) & (params.ny - 1u);
    let before = quad_at(plane, x, y_before, params.nx, params.ny);
    let after = quad_at(plane, x, y_after, params.nx, params.ny);
    let partner_before = quad_at(plane, x ^ 1u, y_before, params.nx, params.ny);
    let partner_after = quad_at(plane, x ^ 1u, y_after, params.nx, params.ny);
    let outer = gradient_of_pairs(
        // No gradient is needed outside of the six cells.
        stored4(gradient_g[before].ww, gradient_g[after].xx),
        stored4(gradient_z[before].zw, gradient_z[after].xy),
        stored4(gradient_z[partner_before].zw, gradient_z[partner_after].xy),
        vec2(
            gradient_pooled[pooled_at(plane, x, y_before)].y,
            gradient_pooled[pooled_at(plane, x, y_after)].x,
        ),
        x,
        channel,
    );
    let own = gradient_quad(plane, x, y, channel);
    return Row(vec4(outer.y, own.xyz), vec2(own.w, outer.z));
}
