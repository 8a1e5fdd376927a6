//! The number types of tensors and settings.

use crate::model::settings::choice::choice;
use crate::{Error, Result};

/// The factor of g = ∂L/∂(an activation's argument) where it is stored in 16 bits. It is a power of two, so
/// that it rounds nothing.
///
/// The loss is a sum over cells and samples, so that g depends on the residual and the weights, and not on
/// the grid or the batch. As measured (`examples/gradient_range.rs`, docs/numerics.md), the largest g is 65
/// in the first step of SIP and 0.2 after 50 steps of GD, and half of all g are above 2e-3. With a factor of
/// 16, the largest 16-bit float is 63 times as large as the former, and g keeps all its bits down to 4e-6.
pub const GRADIENT_SCALE: f32 = 16.0;

choice! {
    /// A floating-point type.
    #[derive(Default)]
    pub enum DType {
        /// 16 bits. Only activations are stored in it: z minus a pivot per channel, and gradients times
        /// [`GRADIENT_SCALE`]. Kernels compute with 32 bits. This takes half the memory and traffic, and a
        /// GPU with 16-bit floats in shaders.
        F16 = "f16",
        /// 32 bits, on any GPU.
        #[default]
        F32 = "f32",
        /// 64 bits. Only the physics is computed in it, as in the reference system (method §0).
        F64 = "f64",
    }
}

impl DType {
    /// What the physics can be computed in. Training needs no more than 32 bits: its Fourier form (method
    /// §3b) subtracts nothing that cancels.
    pub const PHYSICS: [Self; 2] = [Self::F32, Self::F64];

    /// How every convolution's output z and the gradients g can be stored. Arithmetic, weights, statistics,
    /// parameter gradients and Adam have 32 bits in any case (docs/numerics.md).
    pub const ACTIVATIONS: [Self; 2] = [Self::F32, Self::F16];

    /// The suffix of names of kernels that compute in it or store it: none for 32 bits.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::F16 => "/f16",
            Self::F32 => "",
            Self::F64 => "/f64",
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Refuses a type that the physics cannot be computed in.
    ///
    /// # Errors
    /// [`Error::Usage`] for 16 bits.
    pub fn check_physics(self) -> Result<()> {
        self.check("physics", Self::PHYSICS)
    }

    /// Refuses a type that activations cannot be stored in.
    ///
    /// # Errors
    /// [`Error::Usage`] for 64 bits.
    pub fn check_activations(self) -> Result<()> {
        self.check("activations", Self::ACTIVATIONS)
    }

    fn check(self, setting: &str, possible: [Self; 2]) -> Result<()> {
        let [first, second] = possible;
        if possible.contains(&self) {
            return Ok(());
        }
        Err(Error::usage(format!("{setting} {self}: must be {first} or {second}")))
    }

    /// Clap's parser of [`DType::PHYSICS`].
    #[cfg(feature = "cli")]
    pub fn physics_parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        parser(Self::PHYSICS)
    }

    /// Clap's parser of [`DType::ACTIVATIONS`].
    #[cfg(feature = "cli")]
    pub fn activations_parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        parser(Self::ACTIVATIONS)
    }
}

#[cfg(feature = "cli")]
fn parser(possible: [DType; 2]) -> impl clap::builder::TypedValueParser<Value = DType> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(possible.map(DType::name)).try_map(|name| name.parse::<DType>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_take_the_types_that_they_can_have() {
        assert!(DType::F32.check_physics().is_ok() && DType::F32.check_activations().is_ok());
        assert!(DType::F64.check_physics().is_ok() && DType::F16.check_activations().is_ok());
        let said = |refused: Result<()>| refused.unwrap_err().to_string();
        assert_eq!(said(DType::F16.check_physics()), "physics f16: must be f32 or f64");
        assert_eq!(said(DType::F64.check_activations()), "activations f64: must be f32 or f16");
    }
}
