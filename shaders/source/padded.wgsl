// What tiles are made of: source_padded(sample, channel, x, y, of the channel) is the cell before y, on a periodic grid, and
// the three from y on; y is a multiple of four. Any source's two quads give it.

fn source_padded(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    return padded_of_quads(n, c, x, y, channel);
}
