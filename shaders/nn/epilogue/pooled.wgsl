//! needs nn/epilogue/moments

// The epilogue moments of a layer that is pooled 2×2 too (method §5): of every four z the one whose
// activation is the maximum. Batch norm and ReLU are monotone, so it is the largest z, or the smallest where
// the scale γ·rstd is negative, which is known before the statistics are; with γ = 0 all activations are
// equal, and the first in row-major order stands for them. Needs an even PATCH: the strip and the one below
// it are an invocation's own.

// [batch, c_out, nx/2, coarse row/2]
@group(3) @binding(2) var<storage, read_write> pooled_z: array<vec2<stored>>;
@group(3) @binding(3) var<storage, read> affine: array<f32>; // the flat parameters; not read if BY_GAMMA is 0

// Which of four z has the largest activation. Without batch norm (BY_GAMMA is 0) it is the largest z. Behind
// a batch norm it is the largest (1), or the smallest where γ is negative (-1); where γ = 0 all activations
// are equal (0).
fn pool_direction(channel: u32) -> f32 {
    if BY_GAMMA == 1u {
        return sign(affine[params.gamma_offset + channel]);
    }
    return 1.0;
}

fn emit_pair(place: Tile, strip: u32, quad: u32, upper: mat4x4<f32>, lower: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    if !at.exists || o >= params.c_out {
        return;
    }
    let above = transpose(as_stored(place, quad, upper));
    let below = transpose(as_stored(place, quad, lower));
    for (var k = 0u; k < 4u; k++) {
        let direction = pool_direction(o + k);
        let higher = max(direction * above[k], direction * below[k]);
        let highest = direction * max(higher.xz, higher.yw);
        let pooled = select(highest, above[k].xz, direction == 0.0);
        let plane = at.n * params.c_out + o + k;
        let row = (plane * (params.nx / 2u) + at.x / 2u) * row_cells(params.ny / 2u);
        pooled_z[(row + at.y / 2u) / 2u] = pack(pooled.xyxy).xy;
    }
}
