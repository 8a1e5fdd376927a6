//! In how many bits the network's activations and their gradients are kept between kernels.

use crate::model::choice::choice;

/// What g is multiplied by where it is stored in 16 bits: a power of two, so that it rounds nothing.
///
/// The loss is a sum over cells and samples, so g does not depend on the size or the batch, but on the
/// residual and the weights. Measured (`examples/gradient_range.rs`, docs/numerics.md): the largest is 65 in
/// the first step of SIP and 0.2 after 50 steps of GD, half of them are above 2e-3. Times 16, halves end 63
/// times above the former and keep all their bits down to 4e-6.
pub const GRADIENT_SCALE: f32 = 16.0;

choice! {
    /// How every convolution's output z and the gradients g of activations are stored. Arithmetic, weights,
    /// statistics, parameter gradients and Adam take 32 bits whatever the storage (docs/numerics.md).
    #[derive(Default)]
    pub enum Storage {
        /// 32 bits, as they are.
        #[default]
        F32 = "f32",
        /// 16 bits: z minus a pivot per channel, g times [`GRADIENT_SCALE`]. Half the memory and traffic; on
        /// GPUs with 16-bit floats in shaders.
        F16 = "f16",
    }
}

impl Storage {
    /// What kernels' names end in: nothing for 32 bits.
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
