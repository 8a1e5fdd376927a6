//! needs lib/norm lib/norms lib/quads nn/epilogue/statistics

// Epilogue of the adjoint convolution whose input was the activation of a layer, of its z or of its pooled z:
// g = ∂L/∂(the activation's argument) there, and the tile's Σg and Σg·ẑ of every channel for its batch norm,
// of the values as stored.

@group(3) @binding(0) var<storage, read_write> target_g: array<stored4>; // [batch, split, nx, row/4]
@group(3) @binding(1) var<storage, read> target_z: array<stored4>; // likewise
@group(3) @binding(2) var<storage, read_write> sums: array<vec2<f32>>; // [split, chunks]

const EPILOGUE_LEN: u32 = STATISTICS_LEN;

fn begin(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {}

fn emit(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    var first = vec4(0.0);
    var second = vec4(0.0);
    if at.exists && o < params.split {
        let by_channel = transpose(sum);
        for (var k = 0u; k < 4u; k++) {
            let index = quad_at(at.n * params.split + o + k, at.x, at.y, params.nx, params.ny);
            let norm = forward_norm(params.target_norms + o + k);
            let z = unpack(target_z[index]);
            let passed = activate_backward(pre_activation(z, norm), by_channel[k]);
            let kept = pack_gradient(select(vec4(0.0), passed, inside(params.ny)));
            target_g[index] = kept;
            let g = unpack_gradient(kept);
            first[k] = dot(g, vec4(1.0));
            second[k] = dot(g, standardise(z, norm));
        }
    } else if at.exists && o < params.c_out {
        emit_rest(at, o, sum);
    }
    put(strip, quad, first, second);
}

fn emit_pair(place: Tile, strip: u32, quad: u32, upper: mat4x4<f32>, lower: mat4x4<f32>) {}

fn combine(a: Statistics, b: Statistics) -> Statistics {
    return Statistics(a.count + b.count, a.first + b.first, a.second + b.second);
}

fn write_statistics(o: u32, chunk: u32, chunks: u32, all: Statistics) {
    if o < params.split {
        for (var k = 0u; k < 4u; k++) {
            sums[(o + k) * chunks + chunk] = vec2(all.first[k], all.second[k]);
        }
    }
}
