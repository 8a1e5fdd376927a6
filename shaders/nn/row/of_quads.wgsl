// source_row(sample, channel, x, y, of the channel) is the cell before y, on a periodic grid, the four from y on, and the
// one after them; y is a multiple of four. Any source's three quads give it.

fn source_row(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> Row {
    let before = source_quad(n, c, x, (y + params.ny - 4u) & (params.ny - 1u), channel);
    let own = source_quad(n, c, x, y, channel);
    let after = source_quad(n, c, x, (y + 4u) & (params.ny - 1u), channel);
    return Row(vec4(before.w, own.xyz), vec2(own.w, after.x));
}
