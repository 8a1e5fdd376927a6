//! The activation functions and their derivatives. Nothing overflows, since every exponential is one of -|x|.

use crate::cpu::Real;
use crate::model::Activation;

/// The function at `x`.
#[inline(always)]
pub fn value<T: Real>(function: Activation, x: T) -> T {
    match function {
        Activation::Relu => x.max(T::zero()),
        Activation::Silu => x * sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Identity => x,
    }
}

/// ∂L/∂x from x and `g` = ∂L/∂(the function at x). The derivative of ReLU at 0 is 0, as in PyTorch.
#[inline(always)]
pub fn backward<T: Real>(function: Activation, x: T, g: T) -> T {
    match function {
        Activation::Relu => {
            if x > T::zero() {
                g
            } else {
                T::zero()
            }
        }
        Activation::Silu => g * sigmoid(x) * (T::one() + x * sigmoid(-x)),
        // This is 1 - tanh², without the cancellation.
        Activation::Tanh => {
            let e = (-(x.abs() + x.abs())).exp();
            g * T::of(4.0) * e / ((T::one() + e) * (T::one() + e))
        }
        Activation::Sigmoid => g * sigmoid(x) * sigmoid(-x),
        Activation::Identity => g,
    }
}

/// 1/(1 + exp(-x)).
#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    let e = (-x.abs()).exp();
    let numerator = if x < T::zero() { e } else { T::one() };
    numerator / (T::one() + e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_formulas() {
        for (function, x, expected) in [
            (Activation::Relu, -2.0, 0.0_f64),
            (Activation::Relu, 2.0, 2.0),
            (Activation::Silu, 2.0, 1.761594155955765),
            (Activation::Silu, -1.278464542761074, -0.278464542761074), // the minimum
            (Activation::Tanh, -0.5, -0.46211715726000973),
            (Activation::Sigmoid, 1.0, 0.7310585786300049),
            (Activation::Sigmoid, -1.0, 0.2689414213699951),
        ] {
            assert!(
                (value(function, x) - expected).abs() < 1e-15,
                "{function} at {x}: {}",
                value(function, x)
            );
        }
    }

    #[test]
    fn backward_matches_central_differences() {
        let h = 1e-5;
        for function in Activation::ALL {
            for x in (-60..60).map(|i| 0.1 * f64::from(i) + 0.05) {
                let numeric = (value(function, x + h) - value(function, x - h)) / (2.0 * h);
                let error = (3.0 * numeric - backward(function, x, 3.0)).abs();
                assert!(error < 1e-8, "{function} at {x}: {error}");
            }
        }
    }

    #[test]
    fn the_largest_numbers_give_numbers() {
        for function in Activation::ALL {
            for x in [f32::MAX, f32::MIN, 100.0, -100.0, 0.0, f32::MIN_POSITIVE] {
                let (value, slope) = (value(function, x), backward(function, x, 1.0));
                assert!(value.is_finite() && slope.is_finite(), "{function} at {x}: {value}, {slope}");
                assert!((-0.2..1.2).contains(&slope), "{function} at {x}: {slope}");
            }
        }
    }
}
