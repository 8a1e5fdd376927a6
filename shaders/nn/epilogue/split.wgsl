//! needs nn/epilogue/activation

// Epilogue of the adjoint convolution whose input was a skip connection and an upsampled layer: the skip
// connection's channels go through the epilogue activation, ∂L/∂input of those from params.split on is kept
// as it is.

@group(3) @binding(3) var<storage, read_write> rest: array<stored4>; // [batch, c_out - split, nx, row/4]

fn emit_rest(at: Strip, o: u32, sum: mat4x4<f32>) {
    let by_channel = transpose(sum);
    for (var k = 0u; k < 4u; k++) {
        let plane = at.n * (params.c_out - params.split) + o + k - params.split;
        rest[quad_at(plane, at.x, at.y, params.nx, params.ny)] = pack_gradient(by_channel[k]);
    }
}
