//! needs nn/epilogue/moments

// The epilogue moments of a layer that is not pooled.

fn emit_pair(place: Tile, strip: u32, quad: u32, upper: mat4x4<f32>, lower: mat4x4<f32>) {}
