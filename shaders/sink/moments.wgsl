// Sink of the forward convolution: z, and count, mean and m2 = Σ(z - mean)² of every channel of the tile for the batch
// norm (SPEC 5). Means are subtracted before anything is squared, and are taken relative to the tile's first value:
// where mean² ≫ variance, Σz² would lose every digit and rounded means some.

@group(3) @binding(0) var<storage, read_write> z: array<vec4<f32>>; // [batch, c_out, nx, row/4]
@group(3) @binding(1) var<storage, read_write> moments: array<f32>; // [c_out, chunks, 3]: count, mean, m2

const SINK_LEN: u32 = STATISTICS_LEN + BLOCK_QUADS; // statistics, then [BLOCK_QUADS] pivots

// The tile's first value becomes the pivot.
fn begin(strip: u32, quad: u32, sum: mat4x4<f32>) {
    if strip == 0u {
        tile[STATISTICS_LEN + quad] = sum[0];
    }
}

fn emit(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    if !at.exists || o >= params.c_out {
        put(strip, quad, vec4(0.0), vec4(0.0));
        return;
    }
    let by_channel = transpose(sum);
    for (var k = 0u; k < 4u; k++) {
        z[quad_at(at.n * params.c_out + o + k, at.x, at.y, params.nx, params.ny)] = by_channel[k];
    }
    let weights = select(vec4(0.0), vec4(1.0), inside(params.ny));
    let pivot = tile[STATISTICS_LEN + quad];
    let shifted = mat4x4(sum[0] - pivot, sum[1] - pivot, sum[2] - pivot, sum[3] - pivot);
    let mean = shifted * weights / f32(min(params.ny, 4u));
    var m2 = vec4(0.0);
    for (var p = 0u; p < 4u; p++) {
        let deviation = (shifted[p] - mean) * weights[p];
        m2 += deviation * deviation;
    }
    put(strip, quad, mean, m2);
}

// Chan's formula.
fn combine(a: Statistics, b: Statistics) -> Statistics {
    if b.count == 0.0 {
        return a;
    }
    let count = a.count + b.count;
    let delta = b.first - a.first;
    let share = b.count / count;
    return Statistics(count, a.first + delta * share, a.second + b.second + delta * delta * (a.count * share));
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
