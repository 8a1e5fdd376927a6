//! Windows, which take away what the edges of a piece add to its waves.
//!
//! A picture is a piece of a larger scene, and its mirror images do not go on as the scene does. That bends
//! its slopes at the edges, and what is bent has power in short waves, |k|^−4, where diffusion has left less:
//! the piece looks as if it had been diffused less than it was. A window sin(π(i + ½)/n)^p along each axis
//! takes the edges away, the more of them the larger p is, and with them waves that could tell something.

use std::f64::consts::PI;

/// A window over fields of one size, whose squares have the mean 1.
pub(super) struct Window {
    /// Along x and along y.
    along: [Vec<f64>; 2],
}

impl Window {
    /// sin^`power`; 0 is none.
    pub(super) fn new([nx, ny]: [usize; 2], power: i32) -> Self {
        let along = |n: usize| {
            let sine = |i: usize| (PI * (i as f64 + 0.5) / n as f64).sin().powi(power);
            let window: Vec<f64> = (0..n).map(sine).collect();
            let scale = moment(&window, 2).sqrt();
            window.into_iter().map(|w| w / scale).collect()
        };
        Self { along: [along(nx), along(ny)] }
    }

    /// The field seen through the window, from its own mean on, so that the window has no waves in it.
    pub(super) fn seen(&self, mut field: Vec<f64>) -> Vec<f64> {
        let [along_x, along_y] = &self.along;
        let rows = field.chunks_exact_mut(along_y.len()).zip(along_x);
        let sums = rows.map(|(row, x)| x * row.iter().zip(along_y).map(|(v, y)| v * y).sum::<f64>());
        let mean = sums.sum::<f64>() / (along_x.iter().sum::<f64>() * along_y.iter().sum::<f64>());
        for (row, x) in field.chunks_exact_mut(along_y.len()).zip(along_x) {
            row.iter_mut().zip(along_y).for_each(|(v, y)| *v = (*v - mean) * x * y);
        }
        field
    }

    /// By how much the variance of a mean over waves grows, since waves next to each other hold the same:
    /// that of the squares' weights, Σw⁴·n/(Σw²)².
    pub(super) fn repeats(&self) -> f64 {
        self.along.iter().map(|window| moment(window, 4)).product()
    }
}

fn moment(window: &[f64], power: i32) -> f64 {
    window.iter().map(|w| w.powi(power)).sum::<f64>() / window.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_the_power_of_noise_and_hides_constants() {
        for power in [0, 2, 6] {
            let window = Window::new([40, 25], power);
            assert!(window.seen(vec![3.0; 1000]).iter().all(|v| v.abs() < 1e-12));
            let [x, y] = &window.along;
            assert!((moment(x, 2) - 1.0).abs() < 1e-14 && (moment(y, 2) - 1.0).abs() < 1e-14);
        }
        assert_eq!(Window::new([40, 25], 0).repeats(), 1.0);
        // ⟨sin⁸⟩ = 35/128 and ⟨sin⁴⟩ = 3/8.
        let expected = (35.0 / 128.0 / (3.0f64 / 8.0).powi(2)).powi(2);
        assert!((Window::new([40, 25], 2).repeats() - expected).abs() < 1e-12);
    }
}
