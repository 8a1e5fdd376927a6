//! What `--report` draws, and the numbers it tells.

use crate::Result;
use crate::io::plots::restoration::{self, Palette, RestorationPanel, RestorationRow};
use crate::model::quality;
use crate::model::units::Extent;
use std::path::Path;

/// Fields of an array that are shown.
pub(crate) const ROWS: usize = 4;

/// What is to be shown: fields `[batch, nx, ny]` of an array, or the planes of one picture.
pub(crate) struct Seen<'a> {
    pub(crate) observation: &'a [f64],
    pub(crate) x: &'a [f64],
    pub(crate) truth: Option<&'a [f64]>,
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    /// What the axes reach over, where that is known.
    pub(crate) axes: Option<Extent>,
}

/// Draws a row per field, or one for all planes of a picture. `again` is what an observer sees of x.
pub(crate) fn draw(path: &Path, again: &[f64], seen: &Seen, palette: Palette) -> Result<()> {
    let Seen { observation, x, truth, nx, ny, axes } = *seen;
    let len = match palette {
        Palette::Field => nx * ny,
        Palette::Picture => x.len(),
    };
    let rows: Vec<RestorationRow> = (0..x.len() / len)
        .map(|row| {
            let part = |values: &[f64]| values[row * len..][..len].to_vec();
            let truth = truth.map(part);
            let (observation, x, again) = (part(observation), part(x), part(again));
            let residual: Vec<f64> = observation.iter().zip(&again).map(|(y, p)| y - p).collect();
            let norm = residual.iter().map(|r| r * r).sum::<f64>().sqrt();
            let misfit = vec![
                format!("misfit {}", short(norm)),
                format!("{} per cell", short(norm / (len as f64).sqrt())),
            ];
            let compared = |values: &[f64]| match &truth {
                Some(truth) => quality_of(values, truth, nx, ny, palette),
                None => Vec::new(),
            };
            let panel = |title: &str, caption: Vec<String>, planes: Vec<f64>| RestorationPanel {
                title: title.to_owned(),
                caption,
                planes,
            };
            let mut said = compared(&observation);
            said.extend(axes.map(|axes| axes.to_string()));
            let mut panels: Vec<RestorationPanel> =
                truth.iter().map(|truth| panel("truth x*", Vec::new(), truth.clone())).collect();
            panels.extend([
                panel("observation y", said, observation),
                panel("reconstruction x", compared(&x), x),
                panel("re-diffused P(x)", Vec::new(), again),
            ]);
            RestorationRow { panels, residual: panel("residual y − P(x)", misfit, residual) }
        })
        .collect();
    restoration::draw(path, &rows, nx, ny, palette)
}

/// PSNR over all planes and the mean SSIM of the planes; the data range is 1 for pictures, else that of the
/// truth.
fn quality_of(x: &[f64], truth: &[f64], nx: usize, ny: usize, palette: Palette) -> Vec<String> {
    let range = match palette {
        Palette::Field => quality::range(truth),
        Palette::Picture => 1.0,
    };
    let planes: Option<Vec<f64>> = x
        .chunks_exact(nx * ny)
        .zip(truth.chunks_exact(nx * ny))
        .map(|(x, truth)| quality::ssim(x, truth, nx, ny, range))
        .collect();
    let mut lines = vec![format!("PSNR {:.2} dB", quality::psnr(x, truth, range))];
    lines.extend(planes.map(|all| format!("SSIM {:.4}", all.iter().sum::<f64>() / all.len() as f64)));
    lines
}

/// Three digits: plain where that is short.
fn short(value: f64) -> String {
    if value == 0.0 || (0.01..1e4).contains(&value) { format!("{value:.3}") } else { format!("{value:.2e}") }
}
