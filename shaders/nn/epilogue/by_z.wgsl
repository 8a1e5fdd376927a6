// Which of four z has the largest activation without batch norm: the largest.

fn pool_direction(channel: u32) -> f32 {
    return 1.0;
}
