//! The nonlinearities that a network can have behind its batch norms.

use crate::model::choice::choice;

choice! {
    /// A function of one number, with the names of PyTorch's modules in lower case.
    #[derive(Default)]
    pub enum Activation {
        /// max(x, 0).
        #[default]
        Relu = "relu",
        /// x·σ(x), with σ the sigmoid. It falls down to -0.28 at x = -1.28, and rises from there.
        Silu = "silu",
        /// The hyperbolic tangent.
        Tanh = "tanh",
        /// σ(x) = 1/(1 + exp(-x)).
        Sigmoid = "sigmoid",
    }
    internal {
        /// x itself: what residual blocks have behind their shortcuts.
        Identity = "identity",
    }
}
