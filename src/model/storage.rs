//! In how many bits the network's activations and their gradients are stored between kernels.

use crate::model::choice::choice;

/// The factor of g = ∂L/∂(an activation's argument) where it is stored in 16 bits. It is a power of two, so
/// that it rounds nothing.
///
/// The loss is a sum over cells and samples, so that g depends on the residual and the weights, and not on
/// the grid or the batch. As measured (`examples/gradient_range.rs`, docs/numerics.md), the largest g is 65
/// in the first step of SIP and 0.2 after 50 steps of GD, and half of all g are above 2e-3. With a factor of
/// 16, the largest 16-bit float is 63 times as large as the former, and g keeps all its bits down to 4e-6.
pub const GRADIENT_SCALE: f32 = 16.0;

choice! {
    /// How every convolution's output z and the gradients g are stored. Arithmetic, weights, statistics,
    /// parameter gradients and Adam have 32 bits in any case (docs/numerics.md).
    #[derive(Default)]
    pub enum Storage {
        /// 32 bits: z and g as they are.
        #[default]
        F32 = "f32",
        /// 16 bits: z minus a pivot per channel, g times [`GRADIENT_SCALE`]. This takes half the memory and
        /// traffic, and a GPU with 16-bit floats in shaders.
        F16 = "f16",
    }
}

impl Storage {
    /// The suffix of kernels' names: none for 32 bits.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::F16 => "/f16",
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}
