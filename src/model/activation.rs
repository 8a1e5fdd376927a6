//! The activation functions of the network.

use std::fmt;

/// A function of one number, named like PyTorch's module in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x·σ(x), with σ the sigmoid. It has its minimum, -0.28, at x = -1.28.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// σ(x) = 1/(1 + exp(-x)).
    Sigmoid,
    /// x itself, which follows the shortcut of a residual block. A network cannot choose it.
    #[serde(skip)]
    Identity,
}

impl Activation {
    /// The functions that a network can have.
    pub const ALL: [Self; 4] = [Self::Relu, Self::Silu, Self::Tanh, Self::Sigmoid];

    /// The name used in files, on the command line and in kernels' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
