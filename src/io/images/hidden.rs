//! Colours for what is hidden: where a picture is transparent, its colours are filled in from what is visible
//! around.
//!
//! A transparent pixel has a colour in the file that nobody has ever seen, often black. Diffusion would bring
//! it to light. So the fields get a colour there that fits its surroundings, by means of coarser and coarser
//! pictures ("pull-push"). Going up, four cells with values v and weights α become one,
//!
//! ```text
//! V = Σ α v / Σ α,    A = Σ α / n    (n: the cells there are, fewer than four at an edge)
//! ```
//!
//! until one cell is left. Going down, a cell keeps the share s of its own value and takes the rest from the
//! coarser picture C, which is filled already:
//!
//! ```text
//! v' = s v + (1 - s) C(x, y),    s = min(1, α / A)
//! ```
//!
//! where A is the weight of the coarser cell that v has gone into, and C is interpolated between the centres
//! of its cells. A cell keeps its value where it is at least as opaque as its surroundings: a picture that is
//! half transparent all over stays as it is. Every v' is a weighted mean of visible colours, so that nothing
//! beside white but transparent cells stays white. The work is proportional to the number of cells.

/// What lies over the colours of pictures.
pub(crate) struct Veil<'a> {
    /// Opacity of every cell from 0 to `white`, `[pages, nx, ny]`.
    pub(crate) alpha: &'a [f32],
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    pub(crate) white: f64,
    /// Whether the file's colours are multiplied by alpha.
    pub(crate) premultiplied: bool,
}

impl Veil<'_> {
    /// Divides the file's colours by alpha if they are multiplied by it, and fills in those that are not
    /// visible, in planes `[pages * channels, nx, ny]`. The colours that were hidden come back, plane by
    /// plane in the order of their cells.
    pub(crate) fn lift(&self, planes: &mut [f64]) -> Vec<f64> {
        let cells = self.nx * self.ny;
        let channels = planes.len() / self.alpha.len();
        let mut hidden = Vec::new();
        for (page, alpha) in planes.chunks_exact_mut(channels * cells).zip(self.alpha.chunks_exact(cells)) {
            let cover = Cover::new(alpha, self.nx, self.ny);
            for plane in page.chunks_exact_mut(cells) {
                for (value, &alpha) in plane.iter_mut().zip(alpha) {
                    if is_hidden(alpha) {
                        hidden.push(*value);
                    } else if self.premultiplied {
                        *value *= self.white / f64::from(alpha);
                    }
                }
                if let Some(cover) = &cover {
                    cover.fill(plane);
                }
            }
        }
        hidden
    }

    /// The opposite: gives hidden cells the colours that [`Veil::lift`] has returned, and multiplies the
    /// others by alpha. Where nothing of a page is visible, what there is now stays.
    pub(crate) fn lay(&self, planes: &mut [f64], hidden: &[f64]) {
        let cells = self.nx * self.ny;
        let channels = planes.len() / self.alpha.len();
        let mut hidden = hidden.iter();
        for (page, alpha) in planes.chunks_exact_mut(channels * cells).zip(self.alpha.chunks_exact(cells)) {
            let is_blank = alpha.iter().all(|&alpha| is_hidden(alpha));
            for plane in page.chunks_exact_mut(cells) {
                for (value, &alpha) in plane.iter_mut().zip(alpha) {
                    if is_hidden(alpha) {
                        let before = hidden.next().copied();
                        *value = before.filter(|_| !is_blank).unwrap_or(*value);
                    } else if self.premultiplied {
                        *value *= f64::from(alpha) / self.white;
                    }
                }
            }
        }
    }
}

/// Whether nothing can be seen of a cell.
fn is_hidden(alpha: f32) -> bool {
    alpha <= 0.0
}

/// Weights from fine to coarse, each level with its sides.
struct Cover {
    levels: Vec<Level>,
}

struct Level {
    nx: usize,
    ny: usize,
    /// Mean of α in every cell, `[nx, ny]`.
    weights: Vec<f32>,
}

impl Cover {
    /// For a picture with this alpha, `[nx, ny]`. None where there is nothing to fill in, because all cells
    /// are equally visible or none is.
    fn new(alpha: &[f32], nx: usize, ny: usize) -> Option<Self> {
        let first = alpha.first()?;
        if alpha.iter().all(|a| a == first) {
            return None;
        }
        let weights = alpha.iter().map(|&a| if a > 0.0 { a } else { 0.0 }).collect();
        let mut levels = vec![Level { nx, ny, weights }];
        while let Some(fine) = levels.last().filter(|level| level.weights.len() > 1) {
            let coarser = fine.coarser(|cells| {
                (cells.iter().map(|&cell| f64::from(fine.weights[cell])).sum::<f64>() / cells.len() as f64)
                    as f32
            });
            levels.push(coarser);
        }
        levels.last().is_some_and(|top| top.weights[0] > 0.0).then_some(Self { levels })
    }

    /// Fills in one plane of the picture, `[nx, ny]`.
    fn fill(&self, plane: &mut [f64]) {
        self.fill_from(0, plane);
    }

    fn fill_from(&self, level: usize, values: &mut [f64]) {
        let (Some(fine), Some(coarse)) = (self.levels.get(level), self.levels.get(level + 1)) else { return };
        let mut coarser = Vec::with_capacity(coarse.weights.len());
        fine.each_block(|cells| {
            let weight: f64 = cells.iter().map(|&cell| f64::from(fine.weights[cell])).sum();
            let sum: f64 = cells.iter().map(|&cell| f64::from(fine.weights[cell]) * values[cell]).sum();
            coarser.push(if weight > 0.0 { sum / weight } else { 0.0 });
        });
        self.fill_from(level + 1, &mut coarser);
        for x in 0..fine.nx {
            for y in 0..fine.ny {
                let cell = x * fine.ny + y;
                let (own, around) = (fine.weights[cell], coarse.weights[x / 2 * coarse.ny + y / 2]);
                if own > 0.0 && own >= around {
                    continue;
                }
                let share = if own > 0.0 { f64::from(own) / f64::from(around) } else { 0.0 };
                let rest = coarse.between(&coarser, x, y);
                // A value that is not seen at all may be anything, and shall not matter even then.
                let own = if share > 0.0 { share * values[cell] } else { 0.0 };
                values[cell] = own + (1.0 - share) * rest;
            }
        }
    }
}

impl Level {
    /// Hands the cells that become one cell of the coarser level to `each`, in its order.
    fn each_block(&self, mut each: impl FnMut(&[usize])) {
        let mut cells = Vec::with_capacity(4);
        for x in (0..self.nx).step_by(2) {
            for y in (0..self.ny).step_by(2) {
                cells.clear();
                for x in x..(x + 2).min(self.nx) {
                    cells.extend((y..(y + 2).min(self.ny)).map(|y| x * self.ny + y));
                }
                each(&cells);
            }
        }
    }

    fn coarser(&self, weight: impl Fn(&[usize]) -> f32) -> Self {
        let (nx, ny) = (self.nx.div_ceil(2), self.ny.div_ceil(2));
        let mut weights = Vec::with_capacity(nx * ny);
        self.each_block(|cells| weights.push(weight(cells)));
        Self { nx, ny, weights }
    }

    /// The value at the centre of the finer level's cell (x, y), a quarter of a cell off the centre of the
    /// one of this level.
    fn between(&self, values: &[f64], x: usize, y: usize) -> f64 {
        let neighbour = |fine: usize, len: usize| {
            let own = fine / 2;
            let other = if fine % 2 == 1 { (own + 1).min(len - 1) } else { own.saturating_sub(1) };
            (own, other)
        };
        let ((x0, x1), (y0, y1)) = (neighbour(x, self.nx), neighbour(y, self.ny));
        let along_y = |x: usize| 0.75 * values[x * self.ny + y0] + 0.25 * values[x * self.ny + y1];
        0.75 * along_y(x0) + 0.25 * along_y(x1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_beside_transparent_black_stays_white() {
        for (nx, ny) in [(1, 2), (7, 5), (64, 33)] {
            let alpha: Vec<f32> =
                (0..nx * ny).map(|i| if i * 3 / (nx * ny) == 0 { 255.0 } else { 0.0 }).collect();
            let mut plane: Vec<f64> = alpha.iter().map(|&a| f64::from(a) / 255.0).collect();
            Cover::new(&alpha, nx, ny).unwrap().fill(&mut plane);
            assert!(plane.iter().all(|v| (v - 1.0).abs() <= 1e-15), "{plane:?}");
        }
    }

    #[test]
    fn visible_colours_stay_and_hidden_ones_lie_between() {
        let (nx, ny) = (20, 13);
        let visible = |i: usize| (i * 7) % 11 < 4;
        let alpha: Vec<f32> = (0..nx * ny).map(|i| if visible(i) { 1.0 } else { 0.0 }).collect();
        let ramp = |i: usize| (i / ny) as f64 / nx as f64;
        let mut plane: Vec<f64> = (0..nx * ny).map(|i| if visible(i) { ramp(i) } else { f64::NAN }).collect();
        // What is hidden does not matter, but for NaN in a product with 0.
        plane.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 1e6);
        Cover::new(&alpha, nx, ny).unwrap().fill(&mut plane);
        for i in 0..nx * ny {
            assert!(!visible(i) || plane[i] == ramp(i));
            assert!((plane[i] - ramp(i)).abs() <= 0.2, "{i}: {} {}", plane[i], ramp(i));
        }
    }

    #[test]
    fn a_soft_edge_keeps_the_more_the_more_is_visible() {
        let alpha = [1.0, 1.0, 0.5, 0.25, 0.0, 0.0];
        let mut plane = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        Cover::new(&alpha, 6, 1).unwrap().fill(&mut plane);
        assert_eq!(plane[..3], [1.0, 1.0, 0.0]);
        assert!(plane[3] > 0.0 && plane[3] < plane[5], "{plane:?}");
    }

    #[test]
    fn equal_and_invisible_pictures_need_no_filling() {
        for alpha in [vec![0.0; 12], vec![128.0; 12], vec![255.0; 12], Vec::new()] {
            assert!(Cover::new(&alpha, 3, 4).is_none());
        }
    }
}
