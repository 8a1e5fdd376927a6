// Sink of the adjoint convolution whose input was the activation of a layer: g = ∂L/∂(ReLU's argument) of that layer,
// and the tile's Σg and Σg·ẑ of every channel for its batch norm, of the values as stored.

@group(3) @binding(0) var<storage, read_write> target_g: array<stored4>; // [batch, c_out, nx, row/4]
@group(3) @binding(1) var<storage, read> target_z: array<stored4>; // likewise
@group(3) @binding(2) var<storage, read> target_norm: array<vec4<f32>>; // [c_out, 2]
@group(3) @binding(3) var<storage, read_write> sums: array<vec2<f32>>; // [c_out, chunks]

const SINK_LEN: u32 = STATISTICS_LEN;

fn begin(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {}

fn emit(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    var first = vec4(0.0);
    var second = vec4(0.0);
    if at.exists && o < params.c_out {
        let by_channel = transpose(sum);
        for (var k = 0u; k < 4u; k++) {
            let index = quad_at(at.n * params.c_out + o + k, at.x, at.y, params.nx, params.ny);
            let norm = target_norm[2u * (o + k)];
            let z = unpack(target_z[index]);
            let passed = (pre_activation(z, norm) > vec4(0.0)) & inside(params.ny);
            let kept = pack_gradient(select(vec4(0.0), by_channel[k], passed));
            target_g[index] = kept;
            let g = unpack_gradient(kept);
            first[k] = dot(g, vec4(1.0));
            second[k] = dot(g, standardise(z, norm));
        }
    }
    put(strip, quad, first, second);
}

fn combine(a: Statistics, b: Statistics) -> Statistics {
    return Statistics(a.count + b.count, a.first + b.first, a.second + b.second);
}

fn write_statistics(o: u32, chunk: u32, chunks: u32, all: Statistics) {
    for (var k = 0u; k < 4u; k++) {
        sums[(o + k) * chunks + chunk] = vec2(all.first[k], all.second[k]);
    }
}
