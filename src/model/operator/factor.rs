//! The factors that operators are made of, by their names: heat, blurs, shifts, Poisson's equation.

use crate::model::operator::point_spread::PointSpread;
use crate::model::operator::wave::Wave;
use crate::{Error, Result};
use num_complex::Complex;
use std::f64::consts::{PI, TAU};
use std::fmt;
use std::sync::Arc;

/// The largest amount of diffusion, in cells². It leaves nothing but the mean of a field on any grid, and Λ
/// is still small enough for 32 bits.
pub const MAX_AMOUNT: f64 = 1e6;

/// The largest length of a blur or a shift, in cells: that of the largest grid.
const MAX_LENGTH: f64 = 2048.0;

/// A factor of an operator. Lengths are in cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    /// The heat equation, with the amount (diffusivity × time, in cells²) along x and along y: Λ =
    /// (2π)²(a_x·f_x² + a_y·f_y²).
    Heat([f64; 2]),
    /// A Gaussian blur of standard deviation σ, which is heat with the amount σ²/2.
    Gaussian(f64),
    /// A uniform disk of radius r, as of a lens that is out of focus: H = 2·J₁(2πfr)/(2πfr).
    Disk(f64),
    /// A uniform line of a length at an angle in degrees from the x axis to the y axis, as of a camera that
    /// moves: H = sin(πf·l)/(πf·l) for the frequency along it.
    Motion([f64; 2]),
    /// A shift by d = (d_x, d_y): H = exp(-2πi·f·d).
    Advection([f64; 2]),
    /// Poisson's equation ∇²y = x with both means zero: H = -1/(2πf)².
    Poisson,
    /// Helmholtz' screened equation (∇² - κ²)y = x: H = -1/((2πf)² + κ²).
    Helmholtz(f64),
    /// A point spread function.
    PointSpread(Arc<PointSpread>),
}

impl Factor {
    /// The names of all factors.
    pub const NAMES: [&str; 8] =
        ["heat", "gaussian", "disk", "motion", "advection", "poisson", "helmholtz", "psf"];

    /// Diffusion by the amounts along x and y.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both are from 0 to [`MAX_AMOUNT`].
    pub fn heat(amounts: [f64; 2]) -> Result<Self> {
        amounts.iter().try_for_each(|&amount| check_amount(amount))?;
        Ok(Self::Heat(amounts))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Heat(_) => "heat",
            Self::Gaussian(_) => "gaussian",
            Self::Disk(_) => "disk",
            Self::Motion(_) => "motion",
            Self::Advection(_) => "advection",
            Self::Poisson => "poisson",
            Self::Helmholtz(_) => "helmholtz",
            Self::PointSpread(_) => "psf",
        }
    }

    /// Parses a name with its parameters, such as `heat:8x2`, `gaussian:1.5`, `disk:3`, `motion:9,30`
    /// (length, degrees), `advection:0.5,0`, `poisson` or `helmholtz:0.3`.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name or impossible parameters.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let refused = |what: &str| Error::usage(format!("operator {text}: {what}"));
        let numbers = |separator: char| -> Result<Vec<f64>> {
            let parse = |part: &str| part.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            let numbers: Option<Vec<f64>> = parameters.split(separator).map(parse).collect();
            numbers.ok_or_else(|| refused("its parameters must be numbers"))
        };
        let length = |value: f64| match (0.0..=MAX_LENGTH).contains(&value) {
            true => Ok(value),
            false => Err(refused("lengths are from 0 to 2048 cells")),
        };
        match (name, parameters.is_empty()) {
            ("poisson", true) => Ok(Self::Poisson),
            ("heat", false) => match numbers('x')?[..] {
                [amount] => Self::heat([amount; 2]),
                [along_x, along_y] => Self::heat([along_x, along_y]),
                _ => Err(refused("write heat:8, or heat:8x2 for amounts along x and y")),
            },
            ("gaussian", false) => match numbers(',')?[..] {
                [sigma] => Ok(Self::Gaussian(length(sigma)?)),
                _ => Err(refused("write gaussian:1.5, the standard deviation in cells")),
            },
            ("disk", false) => match numbers(',')?[..] {
                [radius] => Ok(Self::Disk(length(radius)?)),
                _ => Err(refused("write disk:3, the radius in cells")),
            },
            ("motion", false) => match numbers(',')?[..] {
                [along, degrees] => Ok(Self::Motion([length(along)?, degrees])),
                _ => Err(refused("write motion:9,30, the length in cells and the angle in degrees")),
            },
            ("advection", false) => match numbers(',')?[..] {
                [x, y] => length(x.abs()).and(length(y.abs())).map(|_| Self::Advection([x, y])),
                _ => Err(refused("write advection:0.5,0, the shift along x and y in cells")),
            },
            ("helmholtz", false) => match numbers(',')?[..] {
                [kappa] if kappa > 0.0 => Ok(Self::Helmholtz(length(kappa)?)),
                _ => Err(refused("write helmholtz:0.3, a positive number per cell")),
            },
            _ => Err(refused(
                "there are heat:AMOUNT, gaussian:SIGMA, disk:RADIUS, motion:LENGTH,DEGREES, advection:X,Y, \
                 poisson, helmholtz:KAPPA and psf:FILE",
            )),
        }
    }

    /// Whether it may turn waves, so that H is not real.
    pub fn turns(&self) -> bool {
        match self {
            Self::Advection(shift) => *shift != [0.0; 2],
            Self::PointSpread(spread) => !spread.is_even(),
            _ => false,
        }
    }

    /// Whether mirrors along the axes leave it as it is: then edges can be mirrors.
    pub fn is_mirrored(&self) -> bool {
        match self {
            Self::Advection(shift) => *shift == [0.0; 2],
            Self::PointSpread(spread) => spread.is_mirrored(),
            Self::Motion([length, degrees]) => *length == 0.0 || degrees.rem_euclid(90.0) == 0.0,
            _ => true,
        }
    }

    /// Whether fields and observations have one unit, and no more than a blur is between them.
    pub fn keeps_unit(&self) -> bool {
        !matches!(self, Self::Poisson | Self::Helmholtz(_))
    }

    /// Whether it only ever adds up brightness: no cell of its point spread function is negative. Of a line
    /// without a width, and of a shift by a part of a cell, waves as short as a cell show as ripples on both
    /// sides.
    pub fn is_positive(&self) -> bool {
        match self {
            Self::Poisson | Self::Helmholtz(_) | Self::Motion(_) => false,
            Self::Advection(shift) => shift.iter().all(|d| d.fract() == 0.0),
            Self::PointSpread(spread) => spread.values().iter().all(|&value| value >= 0.0),
            _ => true,
        }
    }

    /// How far from a cell it is seen, in cells; infinite where it is seen everywhere.
    pub fn reach(&self) -> f64 {
        match self {
            Self::Heat(amounts) => 4.0 * (2.0 * amounts[0].max(amounts[1])).sqrt(),
            Self::Gaussian(sigma) => 4.0 * sigma,
            Self::Disk(radius) => *radius,
            Self::Motion([length, _]) => 0.5 * length,
            Self::Advection([x, y]) => x.abs().max(y.abs()),
            Self::Poisson => f64::INFINITY,
            Self::Helmholtz(kappa) => 10.0 / kappa,
            Self::PointSpread(spread) => spread.size().into_iter().max().unwrap_or(0) as f64,
        }
    }

    /// What happens to every wave of a wavenumber, by its square in (radians per cell)²; none where the
    /// direction matters too.
    pub fn radial(&self, squared: f64) -> Option<Wave> {
        Some(match *self {
            Self::Heat([x, y]) if x == y => Wave::shrunk(x * squared),
            Self::Gaussian(sigma) => Wave::shrunk(0.5 * sigma * sigma * squared),
            Self::Disk(radius) => {
                let argument = squared.sqrt() * radius;
                Wave::of(if argument == 0.0 { 1.0 } else { 2.0 * libm::j1(argument) / argument }.into())
            }
            Self::Poisson if squared == 0.0 => Wave::shrunk(Wave::LOST),
            Self::Poisson => Wave::of((-1.0 / squared).into()),
            Self::Helmholtz(kappa) => Wave::of((-1.0 / (squared + kappa * kappa)).into()),
            Self::Heat(_) | Self::Motion(_) | Self::Advection(_) | Self::PointSpread(_) => return None,
        })
    }

    /// What happens to the wave of a frequency, in cycles per cell.
    pub(super) fn wave(&self, [fx, fy]: [f64; 2]) -> Wave {
        match *self {
            // Not through `radial`: in this order the numbers are rounded as the reference's are.
            Self::Heat([x, y]) if x == y => Wave::shrunk(TAU.powi(2) * x * (fx * fx + fy * fy)),
            Self::Heat([x, y]) => Wave::shrunk(TAU.powi(2) * (x * fx * fx + y * fy * fy)),
            Self::Motion([length, degrees]) => {
                let angle = degrees.to_radians();
                let argument = PI * length * (fx * angle.cos() + fy * angle.sin());
                Wave::of(if argument == 0.0 { 1.0 } else { argument.sin() / argument }.into())
            }
            Self::Advection([x, y]) => {
                Wave { log_kernel: 0.0, phase: Complex::from_polar(1.0, -TAU * (fx * x + fy * y)) }
            }
            // A point spread function has a table of its own, see `Waves`.
            _ => self.radial(TAU * TAU * (fx * fx + fy * fy)).unwrap_or(Wave::WHOLE),
        }
    }
}

/// Factors in words, as they are written in one operator.
pub fn words(factors: &[Factor]) -> String {
    factors.iter().map(Factor::to_string).collect::<Vec<_>>().join("+")
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Heat([x, y]) if x == y => write!(f, "{name}:{x}"),
            Self::Heat([x, y]) => write!(f, "{name}:{x}x{y}"),
            Self::Gaussian(one) | Self::Disk(one) | Self::Helmholtz(one) => write!(f, "{name}:{one}"),
            Self::Motion([one, two]) | Self::Advection([one, two]) => write!(f, "{name}:{one},{two}"),
            Self::Poisson => write!(f, "{name}"),
            Self::PointSpread(spread) => {
                let [nx, ny] = spread.size();
                write!(f, "{name} of {nx}x{ny} cells, checksum {:08x}", spread.checksum())
            }
        }
    }
}

/// Refuses an amount that is not from 0 to [`MAX_AMOUNT`].
pub fn check_amount(amount: f64) -> Result<()> {
    if (0.0..=MAX_AMOUNT).contains(&amount) {
        return Ok(());
    }
    Err(Error::usage(format!("amount {amount}: must be a number from 0 to {MAX_AMOUNT:.0} (in cells²)")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operator;
    use crate::model::fourier::frequency;

    #[test]
    fn names_are_parsed_and_impossible_ones_explained() {
        for (text, expected) in [
            ("heat:8", Factor::Heat([8.0; 2])),
            ("heat:8x2", Factor::Heat([8.0, 2.0])),
            ("gaussian:1.5", Factor::Gaussian(1.5)),
            ("disk:3", Factor::Disk(3.0)),
            ("motion:9,90", Factor::Motion([9.0, 90.0])),
            ("advection:0.5,-2", Factor::Advection([0.5, -2.0])),
            ("poisson", Factor::Poisson),
            ("helmholtz:0.3", Factor::Helmholtz(0.3)),
        ] {
            assert_eq!(Factor::parse(text).unwrap(), expected);
            assert_eq!(expected.to_string(), text);
            assert!(text.starts_with(expected.name()));
        }
        for (text, expected) in [
            ("", "there are heat:AMOUNT"),
            ("blur:3", "there are heat:AMOUNT"),
            ("heat:-1", "from 0 to"),
            ("heat:1x2x3", "write heat:8"),
            ("gaussian:wide", "must be numbers"),
            ("gaussian:nan", "must be numbers"),
            ("disk:1,2", "write disk:3"),
            ("disk:-1", "from 0 to 2048"),
            ("motion:9", "write motion:9,30"),
            ("advection:1", "write advection"),
            ("advection:9999,0", "from 0 to 2048"),
            ("poisson:1", "there are heat:AMOUNT"),
            ("helmholtz:0", "positive"),
        ] {
            let message = Factor::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_gaussian_is_heat_and_radial_factors_are_those_of_the_grid() {
        let [heat, gaussian] = [Factor::Heat([2.0; 2]), Factor::Gaussian(2.0)];
        for factor in
            [heat.clone(), gaussian.clone(), Factor::Disk(2.3), Factor::Poisson, Factor::Helmholtz(0.2)]
        {
            for mode in 0..16 * 8 {
                let [fx, fy] = [frequency(mode / 8, 16), frequency(mode % 8, 8)];
                let wave = factor.wave([fx, fy]);
                let radial = factor.radial(TAU * TAU * (fx * fx + fy * fy)).unwrap();
                assert!((wave.log_kernel - radial.log_kernel).abs() <= 1e-13 && wave.phase == radial.phase);
            }
        }
        for f in [[0.0, 0.5], [0.25, -0.1], [0.0, 0.0]] {
            assert!((heat.wave(f).log_kernel - gaussian.wave(f).log_kernel).abs() <= 1e-13);
        }
        let lost = Factor::Poisson.wave([0.0, 0.0]);
        assert_eq!((lost.log_kernel, (-lost.log_kernel).exp()), (Wave::LOST, 0.0));
        assert_eq!(lost.times(lost).log_kernel, Wave::LOST);
    }

    /// Real fields stay real: H(-k) is the conjugate of H(k), also where a shift is no whole number of cells.
    #[test]
    fn every_operator_is_hermitian() {
        for text in ["heat:3x1", "disk:2.5", "motion:7,25", "advection:0.5,3.3", "poisson", "helmholtz:1"] {
            let (nx, ny) = (16, 32);
            let operator = Operator::of(nx, ny, &[Factor::parse(text).unwrap()]).unwrap();
            let factor = |mode: usize| {
                operator.phase().map_or(Complex::ONE, |phase| phase[mode]).scale(operator.kernel()[mode])
            };
            for mode in 0..nx * ny {
                let opposite = (nx - mode / ny) % nx * ny + (ny - mode % ny) % ny;
                assert!((factor(mode) - factor(opposite).conj()).norm() <= 1e-15, "{text} {mode}");
            }
        }
    }
}
