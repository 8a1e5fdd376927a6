//! needs lib/quads nn/epilogue/statistics

// Epilogue of the forward convolution: z, and count, mean and m2 = Σ(z - mean)² of every channel of the tile
// for the batch norm (method §5). They are those of the values as stored, so that normalised values have a
// mean of zero whatever the rounding, and relative to the channel's pivot where there is one (lib/stored16).
// Means are subtracted before anything is squared, and are taken relative to the tile's first value: where
// mean² ≫ variance, Σz² would lose every digit and rounded means some.

@group(3) @binding(0) var<storage, read_write> z: array<stored4>; // [batch, c_out, nx, row/4]
@group(3) @binding(1) var<storage, read_write> moments: array<f32>; // [c_out, chunks, 3]: count, mean, m2

const EPILOGUE_LEN: u32 = STATISTICS_LEN + BLOCK_QUADS; // statistics, then [BLOCK_QUADS] first values

// z as its readers will find it, from the convolution's sums of four pixels.
fn as_stored(place: Tile, quad: u32, sum: mat4x4<f32>) -> mat4x4<f32> {
    var pivot = vec4(0.0);
    if PIVOTED {
        pivot = weights[params.pivot_offset + place.first_quad + quad];
    }
    return mat4x4(
        unpack(pack(sum[0] - pivot)),
        unpack(pack(sum[1] - pivot)),
        unpack(pack(sum[2] - pivot)),
        unpack(pack(sum[3] - pivot)),
    );
}

fn begin(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    if strip == 0u {
        tile[STATISTICS_LEN + quad] = as_stored(place, quad, sum)[0];
    }
}

fn emit(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    if !at.exists || o >= params.c_out {
        put(strip, quad, vec4(0.0), vec4(0.0));
        return;
    }
    let values = as_stored(place, quad, sum);
    let by_channel = transpose(values);
    for (var k = 0u; k < 4u; k++) {
        z[quad_at(at.n * params.c_out + o + k, at.x, at.y, params.nx, params.ny)] = pack(by_channel[k]);
    }
    let weights = select(vec4(0.0), vec4(1.0), inside(params.ny));
    let first = tile[STATISTICS_LEN + quad];
    let shifted = mat4x4(values[0] - first, values[1] - first, values[2] - first, values[3] - first);
    let mean = shifted * weights / f32(min(params.ny, 4u));
    var m2 = vec4(0.0);
    for (var p = 0u; p < 4u; p++) {
        let deviation = (shifted[p] - mean) * weights[p];
        m2 = fma(deviation, deviation, m2);
    }
    put(strip, quad, mean, m2);
}

// Chan's formula. Every variant must round alike: what may be fused is said by fma (convolution.wgsl).
fn combine(a: Statistics, b: Statistics) -> Statistics {
    if b.count == 0.0 {
        return a;
    }
    let count = a.count + b.count;
    let delta = b.first - a.first;
    let share = b.count / count;
    let second = fma(delta * delta, vec4(a.count * share), a.second + b.second);
    return Statistics(count, fma(delta, vec4(share), a.first), second);
}

fn write_statistics(o: u32, chunk: u32, chunks: u32, all: Statistics) {
    let mean = tile[STATISTICS_LEN + o / 4u % BLOCK_QUADS] + all.first;
    for (var k = 0u; k < 4u; k++) {
        let at = 3u * ((o + k) * chunks + chunk);
        moments[at] = all.count;
        moments[at + 1u] = mean[k];
        moments[at + 2u] = all.second[k];
    }
}
