//! H of every wave of a grid of any size, from the factors of an operator.

use crate::Result;
use crate::model::fourier::Axis;
use crate::model::operator::factor::Factor;
use crate::model::operator::wave::Wave;
use num_complex::Complex;

/// The factors of an operator, ready for the waves of one grid.
#[derive(Clone, Debug)]
pub struct Waves {
    axes: [Axis; 2],
    factors: Vec<Ready>,
    turns: bool,
    /// Whether mirrors along the axes leave it as it is.
    is_mirrored: bool,
}

/// A factor by its formula, or where it has none, by its table `[nx, ny]`.
#[derive(Clone, Debug)]
enum Ready {
    Formula(Factor),
    Real(Vec<f64>),
    Complex(Vec<Complex<f64>>),
}

impl Waves {
    /// The product of these factors; of none, the identity.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for a point spread function that is larger than the grid.
    pub fn new(factors: &[Factor], axes: [Axis; 2]) -> Result<Self> {
        let ready = |factor: &Factor| {
            Ok(match factor {
                Factor::PointSpread(spread) if spread.is_even() => {
                    Ready::Real(spread.table(axes, |value| value.re)?)
                }
                Factor::PointSpread(spread) => Ready::Complex(spread.table(axes, |value| value)?),
                formula => Ready::Formula(formula.clone()),
            })
        };
        let turns = factors.iter().any(Factor::turns);
        let is_mirrored = factors.iter().all(Factor::is_mirrored);
        Ok(Self { axes, factors: factors.iter().map(ready).collect::<Result<_>>()?, turns, is_mirrored })
    }

    /// Whether H need not be real.
    pub fn turn(&self) -> bool {
        self.turns
    }

    /// H of wave `[i, j]`. H(-k) is the conjugate of H(k), so that real fields stay real: at the highest
    /// frequencies, which stand for their opposites too, the mean of the two is taken.
    pub fn at(&self, i: usize, j: usize) -> Wave {
        let [x, y] = self.axes;
        let own = self.product(i, j);
        if !self.is_mirrored && (x.is_highest(i) || y.is_highest(j)) {
            return own.meet(&self.product(x.opposite(i), y.opposite(j)));
        }
        own
    }

    fn product(&self, i: usize, j: usize) -> Wave {
        let [x, y] = self.axes;
        let at = i * y.count() + j;
        let of = |factor: &Ready| match factor {
            Ready::Formula(factor) => factor.wave([x.frequency(i), y.frequency(j)]),
            Ready::Real(table) => Wave::of(table[at].into()),
            Ready::Complex(table) => Wave::of(table[at]),
        };
        self.factors.iter().map(of).fold(Wave::WHOLE, Wave::times)
    }
}
