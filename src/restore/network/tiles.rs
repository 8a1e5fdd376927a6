//! Cuts pictures of any size into tiles of one size and blends the results, so that no seam is left.
//!
//! Beyond a picture's edge a tile shows its mirror image. The mirror stands on the edge itself, so that the
//! edge cell is repeated: … c b a | a b c …. That is the insulated boundary of the heat equation: nothing
//! flows through it.

use crate::{Error, Result};

/// Tiles overlap by this many cells, over which one fades into the next.
const RAMP: usize = 16;

/// How large tiles may be, and how wide a rim of theirs is computed but not used.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The longest side of a tile, a power of two.
    pub largest: usize,
    /// Width in cells of a tile's rim that is computed but not used, because it depends on cells beyond the
    /// tile.
    pub guard: usize,
    /// Whether whatever processes a tile mirrors it at its edges. Then a side of the picture that is a power
    /// of two needs no guard: its edges are mirrors anyway.
    pub mirrored: bool,
}

/// How fields of one size are cut into tiles.
#[derive(Clone, Debug)]
pub struct Tiling {
    axes: [Axis; 2],
}

/// The tiles along one axis: where each starts, and which share it has in every cell that it covers.
#[derive(Clone, Debug)]
struct Axis {
    length: usize,
    tile: usize,
    starts: Vec<isize>,
    shares: Vec<Vec<f64>>,
    /// The factor by which [`Tiling::taper`] scales each cell's distance from the tile's mean.
    taper: Vec<f64>,
}

impl Tiling {
    /// Plans tiles for fields `[nx, ny]`. Their sides are powers of two; one tile is enough if it can hold
    /// the field with a guard all around.
    ///
    /// # Errors
    /// [`Error::Usage`] for a field without cells, and for a guard that leaves too little of a tile.
    pub fn new(nx: usize, ny: usize, rules: Rules) -> Result<Self> {
        Ok(Self { axes: [Axis::new(nx, rules)?, Axis::new(ny, rules)?] })
    }

    /// The sides of a tile.
    pub fn tile(&self) -> [usize; 2] {
        [self.axes[0].tile, self.axes[1].tile]
    }

    /// Tiles per field.
    pub fn count(&self) -> usize {
        self.axes[0].starts.len() * self.axes[1].starts.len()
    }

    /// Appends tile number `index` of a field `[nx, ny]` to `out`.
    pub fn cut(&self, field: &[f64], index: usize, out: &mut Vec<f64>) {
        let [ax, ay] = &self.axes;
        let (sx, sy) = self.starts(index);
        let columns: Vec<usize> = (0..ay.tile).map(|j| reflected(sy + j as isize, ay.length)).collect();
        for i in 0..ax.tile {
            let row = &field[reflected(sx + i as isize, ax.length) * ay.length..][..ay.length];
            out.extend(columns.iter().map(|&y| row[y]));
        }
    }

    /// Adds what tile number `index` contributes to `field` `[nx, ny]`, which starts as zeros.
    pub fn blend(&self, tile: &[f64], index: usize, field: &mut [f64]) {
        let [ax, ay] = &self.axes;
        let (tx, ty) = (index / ay.starts.len(), index % ay.starts.len());
        for (i, row) in tile.chunks_exact(ay.tile).enumerate() {
            let share = ax.shares[tx][i];
            let x = ax.starts[tx] + i as isize;
            if share == 0.0 {
                continue;
            }
            let start = x as usize * ay.length;
            for (j, value) in row.iter().enumerate().filter(|(j, _)| ay.shares[ty][*j] != 0.0) {
                let y = (ay.starts[ty] + j as isize) as usize;
                field[start + y] += share * ay.shares[ty][j] * value;
            }
        }
    }

    /// Fades a tile to its mean towards its rim, where the rim is not the picture's own edge.
    ///
    /// A second mirror there would make a kink. No diffused field has kinks, so the inverse of diffusion
    /// would blow it up. The fade is so gradual that it looks like a diffused field.
    pub fn taper(&self, tile: &mut [f64]) {
        let mean = tile.iter().sum::<f64>() / tile.len() as f64;
        let [ax, ay] = &self.axes;
        for (row, along_x) in tile.chunks_exact_mut(ay.tile).zip(&ax.taper) {
            for (value, along_y) in row.iter_mut().zip(&ay.taper) {
                *value = mean + along_x * along_y * (*value - mean);
            }
        }
    }

    fn starts(&self, index: usize) -> (isize, isize) {
        let [ax, ay] = &self.axes;
        (ax.starts[index / ay.starts.len()], ay.starts[index % ay.starts.len()])
    }
}

impl Axis {
    fn new(length: usize, Rules { largest, guard, mirrored }: Rules) -> Result<Self> {
        if length == 0 {
            return Err(Error::usage("a picture without pixels"));
        }
        let padded = (length + 2 * guard).next_power_of_two();
        let own = length.next_power_of_two();
        if mirrored && own == length && (4..=largest).contains(&length) {
            Ok(Self::planned(length, length, 0, 1))
        } else if padded <= largest {
            Ok(Self::planned(length, padded, guard, 1))
        } else if 2 * guard + RAMP <= largest / 2 {
            let new_cells = largest - 2 * guard - RAMP;
            Ok(Self::planned(length, largest, guard, (length - RAMP.min(length - 1)).div_ceil(new_cells)))
        } else if own <= largest {
            Ok(Self::planned(length, own, 0, 1)) // the mirror is a little too near to one of the edges
        } else {
            Err(Error::usage(format!(
                "this much diffusion reaches {guard} pixels far: too far for a picture of more than \
                 {largest} pixels a side; use a smaller amount or picture"
            )))
        }
    }

    /// Spreads `count` tiles evenly, from a guard before the field to a guard behind it.
    fn planned(length: usize, tile: usize, guard: usize, count: usize) -> Self {
        let (length_, tile_, guard_) = (length as isize, tile as isize, guard as isize);
        let (first, last) = (-guard_, length_ + guard_ - tile_);
        let starts: Vec<isize> = match count {
            1 => vec![(length_ - tile_) / 2],
            _ => (0..count as isize).map(|i| first + (last - first) * i / (count as isize - 1)).collect(),
        };
        let weight = |start: isize, cell: isize| {
            if count == 1 {
                return 1.0;
            }
            let depth = (cell - start).min(start + tile_ - 1 - cell) - guard_;
            let share = ((depth as f64 + 0.5) / RAMP as f64).clamp(0.0, 1.0);
            0.5 - 0.5 * (std::f64::consts::PI * share).cos()
        };
        let total: Vec<f64> =
            (0..length_).map(|cell| starts.iter().map(|&s| in_tile(s, tile_, cell, &weight)).sum()).collect();
        let shares = starts
            .iter()
            .map(|&start| {
                let share = |cell: isize| match total.get(cell as usize) {
                    Some(total) if cell >= 0 => weight(start, cell) / total,
                    _ => 0.0,
                };
                (start..start + tile_).map(share).collect()
            })
            .collect();
        let before = -starts[0];
        let behind = starts[starts.len() - 1] + tile_ - length_;
        let (rise, fall) = (gradual(before as usize), gradual(behind as usize));
        let level = vec![1.0; tile - rise.len() - fall.len()];
        let taper = rise.into_iter().chain(level).chain(fall.into_iter().rev()).collect();
        Self { length, tile, starts, shares, taper }
    }
}

fn in_tile(start: isize, tile: isize, cell: isize, weight: &impl Fn(isize, isize) -> f64) -> f64 {
    if (start..start + tile).contains(&cell) { weight(start, cell) } else { 0.0 }
}

/// Rises from 0 to 1 in this many steps like the integral of a Gaussian, which has the least high frequencies
/// of all ramps. The ramp spans four standard deviations on either side of its middle.
fn gradual(steps: usize) -> Vec<f64> {
    let slope = |i: usize| (-0.5 * (8.0 * ((i as f64 + 0.5) / steps as f64 - 0.5)).powi(2)).exp();
    let total: f64 = (0..steps).map(slope).sum();
    let mut sum = 0.0;
    (0..steps)
        .map(|i| {
            sum += slope(i);
            sum / total
        })
        .collect()
}

/// The cell that a mirror at both ends of `0..length` shows in place of `cell`.
fn reflected(cell: isize, length: usize) -> usize {
    let period = 2 * length;
    let cell = cell.rem_euclid(period as isize) as usize;
    cell.min(period - 1 - cell)
}

/// Appends a tile `[tx, ty]` with its mirror images, `[2·tx, 2·ty]`, to `out`. On a periodic grid they act as
/// insulated walls around the tile.
pub fn mirror(tile: &[f64], [tx, ty]: [usize; 2], out: &mut Vec<f64>) {
    for x in (0..tx).chain((0..tx).rev()) {
        let row = &tile[x * ty..][..ty];
        out.extend(row.iter().chain(row.iter().rev()));
    }
}

/// The tile in a field that [`mirror`] made.
pub fn unmirror(mirrored: &[f64], [tx, ty]: [usize; 2]) -> Vec<f64> {
    mirrored.chunks_exact(2 * ty).take(tx).flat_map(|row| &row[..ty]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { largest: 64, guard: 8, mirrored: false };

    fn field(nx: usize, ny: usize) -> Vec<f64> {
        (0..nx * ny).map(|i| ((i / ny) as f64).sin() + (0.1 * (i % ny) as f64).cos()).collect()
    }

    #[test]
    fn untouched_tiles_give_the_field_back() {
        for (nx, ny) in [(1, 1), (3, 200), (48, 49), (64, 64), (65, 47), (333, 1000)] {
            for mirrored in [false, true] {
                let tiling = Tiling::new(nx, ny, Rules { mirrored, ..RULES }).unwrap();
                let field = field(nx, ny);
                let mut back = vec![0.0; nx * ny];
                for index in 0..tiling.count() {
                    let mut tile = Vec::new();
                    tiling.cut(&field, index, &mut tile);
                    assert_eq!(tile.len(), tiling.tile().iter().product::<usize>());
                    tiling.blend(&tile, index, &mut back);
                }
                assert!(field.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12), "{nx}x{ny}");
            }
        }
    }

    #[test]
    fn the_rim_of_a_tile_counts_for_nothing() {
        let tiling = Tiling::new(500, 200, RULES).unwrap();
        let [tx, ty] = tiling.tile();
        let mut blended = vec![0.0; 500 * 200];
        for index in 0..tiling.count() {
            let rim = |i: usize, n: usize| i < 8 || i >= n - 8;
            let tile: Vec<f64> =
                (0..tx * ty).map(|i| if rim(i / ty, tx) || rim(i % ty, ty) { 1e9 } else { 1.0 }).collect();
            tiling.blend(&tile, index, &mut blended);
        }
        assert!(blended.iter().all(|v| (v - 1.0).abs() < 1e-12));
    }

    #[test]
    fn tapers_leave_the_field_alone_and_end_at_the_mean() {
        for (nx, ny) in [(30, 200), (64, 40)] {
            let tiling = Tiling::new(nx, ny, Rules { mirrored: true, ..RULES }).unwrap();
            let [tx, ty] = tiling.tile();
            let (mut tile, field) = (Vec::new(), field(nx, ny));
            tiling.cut(&field, 0, &mut tile);
            let mean = tile.iter().sum::<f64>() / tile.len() as f64;
            let whole = tile.clone();
            tiling.taper(&mut tile);
            let mut own = vec![0.0; nx * ny];
            tiling.blend(&tile, 0, &mut own);
            let mut untouched = vec![0.0; nx * ny];
            tiling.blend(&whole, 0, &mut untouched);
            let same = own.iter().zip(&untouched).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(same, "inside the guard nothing changes");
            assert!((tile[tx / 2 * ty] - mean).abs() < 3e-3, "the first cell of a row lies on the rim");
            assert_eq!(tiling.axes[0].taper.iter().all(|&t| t == 1.0), nx == 64, "a power of two has no rim");
        }
    }

    #[test]
    fn mirrors_repeat_the_edge() {
        let shown: Vec<usize> = (-4..8).map(|cell| reflected(cell, 3)).collect();
        assert_eq!(shown, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        let mut mirrored = Vec::new();
        mirror(&[1.0, 2.0, 3.0, 4.0], [2, 2], &mut mirrored);
        assert_eq!(mirrored, [1., 2., 2., 1., 3., 4., 4., 3., 3., 4., 4., 3., 1., 2., 2., 1.]);
        assert_eq!(unmirror(&mirrored, [2, 2]), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn sizes_are_chosen_as_the_rules_say() {
        let tile = |n, rules| Tiling::new(n, n, rules).map(|t| (t.tile()[0], t.count()));
        let mirrored = Rules { mirrored: true, ..RULES };
        assert_eq!(tile(32, mirrored).unwrap(), (32, 1));
        assert_eq!(tile(32, RULES).unwrap(), (64, 1));
        assert_eq!(tile(33, mirrored).unwrap(), (64, 1));
        assert_eq!(tile(64, mirrored).unwrap(), (64, 1));
        assert_eq!(tile(64, RULES).unwrap(), (64, 4));
        let wide = Rules { guard: 100, ..mirrored };
        assert_eq!(tile(50, wide).unwrap(), (64, 1));
        assert!(tile(100, wide).unwrap_err().to_string().contains("100 pixels far"));
        assert!(Tiling::new(0, 5, RULES).is_err());
    }
}
