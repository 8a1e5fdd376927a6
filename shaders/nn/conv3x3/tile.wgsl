//! needs nn/conv3x3/padded

// A tile of the convolutions' input in workgroup memory: TILE_N samples' TILE_X × TILE_Y pixels with a border
// of one pixel (padded.wgsl). Quad j of a padded row holds the cells 4·j-1 … 4·j+2 of the tile.

const ROW_QUADS: u32 = TILE_Y / 4u + 1u;
// An odd number of quads, so that neighbouring channels lie in different memory banks.
const PLANE: u32 = (TILE_N * (TILE_X + 2u) * ROW_QUADS) | 1u;

const CHANNEL_QUADS: u32 = TILE_N * (TILE_X + 2u) * ROW_QUADS; // PLANE may be one more
// So many channels are staged at a time, each by so many invocations side by side: powers of two.
const ABREAST: u32 = min(CHANNELS, max(WORKGROUP >> (32u - countLeadingZeros(CHANNEL_QUADS - 1u)), 1u));
const SPAN: u32 = WORKGROUP / ABREAST;

// CHANNELS channels from i0 on into `tile`; zero beyond the last sample or channel. An invocation works out a
// place once and stages it in all of its channels: in a number of rounds that compilers know and without a
// branch, so that they unroll them and the loads of all rounds are in flight at once.
fn stage(n0: u32, i0: u32, x0: u32, y0: u32, local: u32) {
    // CHANNELS divides the channels of the first part, so that all belong to the same.
    if INPUT_PARTS == 2u && i0 >= params.skip_channels {
        stage_part(n0, i0, x0, y0, local, 1u);
    } else {
        stage_part(n0, i0, x0, y0, local, 0u);
    }
}

fn stage_part(n0: u32, i0: u32, x0: u32, y0: u32, local: u32, part: u32) {
    for (var own = local % SPAN; own < CHANNEL_QUADS; own += SPAN) {
        let n = n0 + min(own / (ROW_QUADS * (TILE_X + 2u)), TILE_N - 1u); // no division where TILE_N is 1
        let known_n = min(n, params.batch - 1u);
        let row = own / ROW_QUADS % (TILE_X + 2u);
        for (var round = 0u; round < CHANNELS / ABREAST; round++) {
            let slot = round * ABREAST + local / SPAN;
            let c = min(i0 + slot, params.c_in - 1u);
            let cells = padded_row(known_n, c, x0, y0, row, own % ROW_QUADS, input_channel(c, part));
            let exists = n < params.batch && i0 + slot < params.c_in;
            tile[slot * PLANE + own] = select(vec4(0.0), cells.left, exists);
        }
    }
}
