//! In how many bits the physics is computed (method §0).

use crate::model::choice::choice;

choice! {
    /// The number type of the physics; the network computes in 32 bits in any case.
    #[derive(Default)]
    pub enum Precision {
        /// 32 bits, on any GPU. Training needs no more: its Fourier form (method §3b) subtracts nothing that
        /// cancels.
        #[default]
        F32 = "f32",
        /// 64 bits, as in the reference system.
        F64 = "f64",
    }
}

impl Precision {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}
