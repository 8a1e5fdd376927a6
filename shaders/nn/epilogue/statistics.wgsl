//! needs nn/conv3x3/strips

// Statistics of the outputs of one tile: every strip leaves two numbers per channel in workgroup memory, four
// channels at once, and a tree of fixed shape combines them: groups of eight strips, then all groups. An
// epilogue that uses this file defines combine() and write_statistics().

const GROUP: u32 = 8u;
const STATISTICS_LEN: u32 = 2u * STRIPS * BLOCK_QUADS;

struct Statistics {
    count: f32, // values per channel
    first: vec4<f32>,
    second: vec4<f32>,
}

fn put(strip: u32, quad: u32, first: vec4<f32>, second: vec4<f32>) {
    let at = 2u * (strip * BLOCK_QUADS + quad);
    tile[at] = first;
    tile[at + 1u] = second;
}

fn fetch(strip: u32, quad: u32, count: f32) -> Statistics {
    let at = 2u * (strip * BLOCK_QUADS + quad);
    return Statistics(count, tile[at], tile[at + 1u]);
}

fn strip_count(place: Tile, strip: u32) -> f32 {
    return select(0.0, f32(min(params.ny, 4u)), locate(place, strip).exists);
}

fn group_count(place: Tile, group: u32) -> f32 {
    var count = 0.0;
    for (var strip = group * GROUP; strip < min((group + 1u) * GROUP, STRIPS); strip++) {
        count += strip_count(place, strip);
    }
    return count;
}

fn finish(place: Tile, chunk: u32, chunks: u32, local: u32) {
    const GROUPS = (STRIPS + GROUP - 1u) / GROUP;
    workgroupBarrier();
    for (var at = local; at < GROUPS * BLOCK_QUADS; at += WORKGROUP) {
        let quad = at % BLOCK_QUADS;
        let first = at / BLOCK_QUADS * GROUP;
        var all = fetch(first, quad, strip_count(place, first));
        for (var strip = first + 1u; strip < min(first + GROUP, STRIPS); strip++) {
            all = combine(all, fetch(strip, quad, strip_count(place, strip)));
        }
        put(first, quad, all.first, all.second);
    }
    workgroupBarrier();
    for (var quad = local; quad < BLOCK_QUADS; quad += WORKGROUP) {
        var all = fetch(0u, quad, group_count(place, 0u));
        for (var group = 1u; group < GROUPS; group++) {
            all = combine(all, fetch(group * GROUP, quad, group_count(place, group)));
        }
        if 4u * (place.first_quad + quad) < params.c_out {
            write_statistics(4u * (place.first_quad + quad), chunk, chunks, all);
        }
    }
}
