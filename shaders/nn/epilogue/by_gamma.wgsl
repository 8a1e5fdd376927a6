// Which of four z has the largest activation behind a batch norm: the largest (1), the smallest where γ is negative (-1),
// and where γ = 0 they are equal (0).

@group(3) @binding(3) var<storage, read> affine: array<f32>; // the flat parameters

fn pool_direction(channel: u32) -> f32 {
    return sign(affine[params.gamma_offset + channel]);
}
