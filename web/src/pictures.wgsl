// Draws fields side by side, one pixel a cell: x downwards, y to the right. It reads where the training step
// has left them, so that nothing goes through the host.

struct Grid {
    nx: u32,
    ny: u32,
    hottest: f32, // the temperature that has the last colour
}

@group(0) @binding(0) var<uniform> grid: Grid;
@group(0) @binding(1) var<storage, read> colours: array<u32, 256>; // red in the lowest byte
@group(0) @binding(2) var<storage, read> fields: array<f32>; // [batch, nx, ny]

// One triangle that covers the canvas.
@vertex
fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let right = f32(index & 1u) * 4.0 - 1.0;
    let up = f32(index >> 1u) * 4.0 - 1.0;
    return vec4<f32>(right, up, 0.0, 1.0);
}

@fragment
fn cell(@builtin(position) pixel: vec4<f32>) -> @location(0) vec4<f32> {
    let column = u32(pixel.x);
    let x = u32(pixel.y);
    let sample = column / grid.ny;
    let y = column % grid.ny;
    let value = fields[(sample * grid.nx + x) * grid.ny + y];
    let place = u32(clamp(value / grid.hottest, 0.0, 1.0) * 255.0 + 0.5);
    return unpack4x8unorm(colours[min(place, 255u)]);
}
