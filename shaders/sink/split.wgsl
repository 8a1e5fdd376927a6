// Sink of the adjoint convolution whose input was pooled, or the skip connection and an upsampled layer: ∂L/∂input as
// it is, channels from params.split on to a second array.

@group(3) @binding(0) var<storage, read_write> first: array<stored4>; // [batch, split, nx, row/4]
@group(3) @binding(1) var<storage, read_write> second: array<stored4>; // [batch, c_out - split, nx, row/4]

const SINK_LEN: u32 = 1u; // keeps nothing in workgroup memory

fn begin(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {}

fn emit(place: Tile, strip: u32, quad: u32, sum: mat4x4<f32>) {
    let at = locate(place, strip);
    let o = 4u * (place.first_quad + quad);
    if !at.exists || o >= params.c_out {
        return;
    }
    let by_channel = transpose(sum);
    for (var k = 0u; k < 4u; k++) {
        let kept = pack_gradient(by_channel[k]);
        if o < params.split {
            first[quad_at(at.n * params.split + o + k, at.x, at.y, params.nx, params.ny)] = kept;
        } else {
            let plane = at.n * (params.c_out - params.split) + o + k - params.split;
            second[quad_at(plane, at.x, at.y, params.nx, params.ny)] = kept;
        }
    }
}

fn finish(place: Tile, chunk: u32, chunks: u32, local: u32) {}
