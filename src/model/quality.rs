//! How near a field is to its truth: squared and absolute distance, PSNR and SSIM.
//!
//! PSNR and SSIM need the *data range*, the distance from the darkest to the brightest possible value. For
//! pictures it is 1, since their intensities lie in 0..=1 at any bit depth. Other fields have no brightest
//! possible value; for them the data range is by convention that of the truth itself, [`range`].

/// The side of SSIM's window, in cells (Wang, Bovik, Sheikh, Simoncelli 2004).
pub const WINDOW: usize = 11;

/// The standard deviation of SSIM's window, in cells.
const SIGMA: f64 = 1.5;
const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// ½Σ(x - x*)², the L2 loss of one sample (method §4): a sum, not a mean.
pub fn l2(field: &[f64], truth: &[f64]) -> f64 {
    0.5 * squares(field, truth)
}

/// Σ|x - x*| of one sample.
pub fn l1(field: &[f64], truth: &[f64]) -> f64 {
    field.iter().zip(truth).map(|(x, t)| (x - t).abs()).sum()
}

/// The largest minus the smallest value of a sample.
pub fn range(truth: &[f64]) -> f64 {
    let (low, high) = truth
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    high - low
}

/// 10·log₁₀(range²/mean (x - x*)²) in dB; infinite where field and truth are equal.
pub fn psnr(field: &[f64], truth: &[f64], range: f64) -> f64 {
    10.0 * (range * range * truth.len() as f64 / squares(field, truth)).log10()
}

/// The mean structural similarity of two `[nx, ny]` fields, at most 1, which only equal fields reach.
///
/// It follows Wang et al.: a Gaussian window of 11 × 11 cells with σ = 1.5, K1 = 0.01, K2 = 0.03, population
/// variances, and the mean over all windows that lie inside the field. `None` where no window does, and for a
/// range that is not positive, where the measure has no meaning.
///
/// # Panics
/// Where field or truth have not `nx`·`ny` values.
pub fn ssim(field: &[f64], truth: &[f64], nx: usize, ny: usize, range: f64) -> Option<f64> {
    assert!(field.len() == nx * ny && truth.len() == nx * ny, "two fields of {nx} x {ny} cells");
    let positive = range > 0.0;
    if nx < WINDOW || ny < WINDOW || !positive {
        return None;
    }
    let mean = |value: &dyn Fn(usize) -> f64| windowed(&(0..nx * ny).map(value).collect::<Vec<_>>(), nx, ny);
    let (mean_x, mean_t) = (mean(&|i| field[i]), mean(&|i| truth[i]));
    let (xx, tt, xt) =
        (mean(&|i| field[i] * field[i]), mean(&|i| truth[i] * truth[i]), mean(&|i| field[i] * truth[i]));
    let (c1, c2) = ((K1 * range).powi(2), (K2 * range).powi(2));
    let similarity = |i: usize| {
        let (a, b) = (mean_x[i], mean_t[i]);
        let (variances, covariance) = (xx[i] - a * a + tt[i] - b * b, xt[i] - a * b);
        (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))
    };
    Some((0..mean_x.len()).map(similarity).sum::<f64>() / mean_x.len() as f64)
}

fn squares(field: &[f64], truth: &[f64]) -> f64 {
    assert_eq!(field.len(), truth.len(), "as many values as the truth has");
    field.iter().zip(truth).map(|(x, t)| (x - t).powi(2)).sum()
}

/// The Gaussian mean of every window inside the field, `[nx - 10, ny - 10]`.
fn windowed(field: &[f64], nx: usize, ny: usize) -> Vec<f64> {
    let weights: [f64; WINDOW] = std::array::from_fn(|i| {
        let away = i as f64 - (WINDOW / 2) as f64;
        (-0.5 * (away / SIGMA).powi(2)).exp()
    });
    let total: f64 = weights.iter().sum();
    let (rows, columns) = (nx - WINDOW + 1, ny - WINDOW + 1);
    // One axis after the other, since the window is a product of one factor for each.
    let mut along_y = Vec::with_capacity(nx * columns);
    for row in field.chunks_exact(ny) {
        along_y
            .extend((0..columns).map(|y| -> f64 { weights.iter().zip(&row[y..]).map(|(w, v)| w * v).sum() }));
    }
    let mut means = vec![0.0; rows * columns];
    for (x, means) in means.chunks_exact_mut(columns).enumerate() {
        for (weight, row) in weights.iter().zip(along_y[x * columns..].chunks_exact(columns)) {
            for (mean, value) in means.iter_mut().zip(row) {
                *mean += weight / (total * total) * value;
            }
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two fields that any program can make without a random generator.
    fn pair(nx: usize, ny: usize) -> (Vec<f64>, Vec<f64>) {
        let truth = |i: usize| (((i / ny) * 7 + (i % ny) * 13) % 32) as f64 / 31.0;
        let field = |i: usize| truth(i) + 0.2 * (((i * i) % 17) as f64 / 16.0 - 0.5);
        ((0..nx * ny).map(field).collect(), (0..nx * ny).map(truth).collect())
    }

    #[test]
    fn distances_and_psnr_have_closed_forms() {
        let (truth, field) = (vec![0.5; 300], vec![0.4; 300]);
        assert!((l2(&field, &truth) - 1.5).abs() < 1e-12);
        assert!((l1(&field, &truth) - 30.0).abs() < 1e-12);
        assert!((psnr(&field, &truth, 1.0) - 20.0).abs() < 1e-12);
        assert!((psnr(&field, &truth, 10.0) - 40.0).abs() < 1e-12);
        assert_eq!(psnr(&truth, &truth, 1.0), f64::INFINITY);
        assert_eq!(range(&[0.25, -1.0, 3.0]), 4.0);
    }

    #[test]
    fn ssim_of_constants_is_that_of_their_means() {
        let (a, b) = (0.3, 0.6);
        let expected = (2.0 * a * b + 1e-4) / (a * a + b * b + 1e-4);
        let found = ssim(&[a; 12 * 20], &[b; 12 * 20], 12, 20, 1.0).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        // Half the contrast around a mean of zero within the window: the second factor alone.
        let wave: Vec<f64> = (0..11 * 11).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let half: Vec<f64> = wave.iter().map(|v| 0.5 * v).collect();
        let found = ssim(&half, &wave, 11, 11, 2.0).unwrap();
        let c2 = 0.06f64.powi(2);
        assert!((found - (1.0 + c2) / (1.25 + c2)).abs() < 1e-6, "{found}");
    }

    #[test]
    fn equal_fields_are_perfect_and_small_ones_have_no_ssim() {
        let (_, truth) = pair(16, 16);
        assert!((ssim(&truth, &truth, 16, 16, 1.0).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ssim(&truth[..160], &truth[..160], 10, 16, 1.0), None);
        assert_eq!(ssim(&truth, &truth, 16, 16, 0.0), None);
    }

    #[test]
    fn agrees_with_scikit_image() {
        let (field, truth) = pair(32, 48);
        let found = [
            ssim(&field, &truth, 32, 48, 1.0).unwrap(),
            ssim(&field, &truth, 32, 48, 2.0).unwrap(),
            psnr(&field, &truth, 1.0),
        ];
        for (found, expected) in found.iter().zip(SCIKIT_IMAGE) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    /// ```python
    /// import numpy as np
    /// from skimage.metrics import structural_similarity as s, peak_signal_noise_ratio as p
    /// x, y = np.indices((32, 48)); i = x*48 + y
    /// t = (x*7 + y*13) % 32 / 31; f = t + .2*((i*i) % 17/16 - .5)
    /// k = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    /// print(s(f, t, data_range=1, **k), s(f, t, data_range=2, **k), p(t, f, data_range=1))
    /// ```
    const SCIKIT_IMAGE: [f64; 3] = [0.9725519115152461, 0.9729550703350355, 23.01012324535791];
}
