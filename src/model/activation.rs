//! The activation functions of the network.

use crate::model::settings::choice::choice;

choice! {
    /// A function of one number, named like PyTorch's module in lower case.
    #[derive(Default)]
    pub enum Activation {
        /// max(x, 0).
        #[default]
        Relu = "relu",
        /// x·σ(x), with σ the sigmoid. It has its minimum, -0.28, at x = -1.28.
        Silu = "silu",
        /// The hyperbolic tangent.
        Tanh = "tanh",
        /// σ(x) = 1/(1 + exp(-x)).
        Sigmoid = "sigmoid",
    }
    internal {
        /// x itself, which follows the shortcut of a residual block. A network cannot choose it.
        Identity = "identity",
    }
}
