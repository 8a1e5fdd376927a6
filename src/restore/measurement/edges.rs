//! Whether a field can be periodic.

/// Neighbouring rows of a periodic field differ by about as much everywhere, the last and the first included.
/// Opposite edges do not fit together where they differ by this much more than any other neighbours.
const MISFIT: f64 = 2.0;

/// The axes, of x and y, along which opposite edges of a field `[nx, ny]` differ by more than twice as much
/// as any two neighbours do inside: a field that is not periodic. The ratio comes along.
pub fn not_periodic(field: &[f64], nx: usize, ny: usize) -> Option<(&'static str, f64)> {
    let row = |i: usize| -> Vec<f64> { field[i * ny..][..ny].to_vec() };
    let column = |j: usize| -> Vec<f64> { field.iter().skip(j).step_by(ny).copied().collect() };
    [("x", misfit(nx, row)), ("y", misfit(ny, column))]
        .into_iter()
        .filter(|(_, misfit)| *misfit > MISFIT)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// How much more the last line differs from the first than any line from the next, as root mean squares.
fn misfit(lines: usize, line: impl Fn(usize) -> Vec<f64>) -> f64 {
    if lines < 4 {
        return 0.0;
    }
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let first = line(0);
    let (mut last, mut inside) = (first.clone(), 0f64);
    for i in 1..lines {
        let next = line(i);
        inside = inside.max(difference(&last, &next));
        last = next;
    }
    let across = difference(&last, &first);
    if across == 0.0 { 0.0 } else { across / inside }
}
