//! The kinds of samples that pictures hold, and in which units fields have them.

/// What a sample of a picture is in its file.
///
/// Unsigned samples of 8 and 16 bits are intensities: fields have them as 0 to 1. All others are values in
/// the file's own units, such as kelvin or counts: fields have them as they are, and negative ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 0 to 255, an intensity.
    Eight,
    /// 0 to 65535, an intensity.
    Sixteen,
    /// A signed integer of 8 bits.
    Int8,
    /// A signed integer of 16 bits.
    Int16,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits; beyond 2⁵³ fields have it rounded.
    Int64,
    /// An unsigned integer of 32 bits.
    Uint32,
    /// An unsigned integer of 64 bits; beyond 2⁵³ fields have it rounded.
    Uint64,
    /// A floating point number of 16 bits.
    Float16,
    /// A floating point number of 32 bits.
    Float32,
    /// A floating point number of 64 bits.
    Float64,
}

impl Depth {
    /// The sample that stands for 1 in a field: the largest one of an intensity, 1 of a value in its own
    /// units.
    pub fn white(self) -> f64 {
        match self {
            Self::Eight => 255.0,
            Self::Sixteen => 65535.0,
            _ => 1.0,
        }
    }

    /// The standard deviation of what rounding to the file's samples has added to a value of a field, in its
    /// units: a step over √12. 0 for floating point samples, see [`Depth::relative_rounding`].
    pub fn rounding(self) -> f64 {
        match self {
            Self::Float16 | Self::Float32 | Self::Float64 => 0.0,
            _ => 1.0 / self.white() / 12f64.sqrt(),
        }
    }

    /// The standard deviation of what rounding has added to a value, as a part of the value: at most a step
    /// of the last bit over √12. 0 for integers.
    pub fn relative_rounding(self) -> f64 {
        let step = match self {
            Self::Float16 => -10,
            Self::Float32 => -23,
            Self::Float64 => -52,
            _ => return 0.0,
        };
        2f64.powi(step) / 12f64.sqrt()
    }

    /// The range of a field's values: 0 to 1 for intensities, none for values in their own units.
    pub fn bounds(self) -> Option<(f64, f64)> {
        self.is_intensity().then_some((0.0, 1.0))
    }

    /// Whether samples are intensities, which have a black and a white.
    pub fn is_intensity(self) -> bool {
        matches!(self, Self::Eight | Self::Sixteen)
    }

    /// What samples of this kind are written as. A result of computing is no integer and may leave an
    /// integer's range: integers in their own units become floating point numbers that can hold them.
    pub fn written(self) -> Self {
        match self {
            Self::Int8 | Self::Int16 | Self::Float16 => Self::Float32,
            Self::Int32 | Self::Int64 | Self::Uint32 | Self::Uint64 => Self::Float64,
            Self::Eight | Self::Sixteen | Self::Float32 | Self::Float64 => self,
        }
    }

    /// Bytes of a sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::Eight | Self::Int8 => 1,
            Self::Sixteen | Self::Int16 | Self::Float16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }

    /// The sample of an alpha channel that hides nothing.
    pub(crate) fn opaque(self) -> f64 {
        match self {
            Self::Eight => 255.0,
            Self::Sixteen => 65535.0,
            Self::Int8 => f64::from(i8::MAX),
            Self::Int16 => f64::from(i16::MAX),
            Self::Int32 => f64::from(i32::MAX),
            Self::Int64 => i64::MAX as f64,
            Self::Uint32 => f64::from(u32::MAX),
            Self::Uint64 => u64::MAX as f64,
            Self::Float16 | Self::Float32 | Self::Float64 => 1.0,
        }
    }

    /// Short words for messages, such as "16-bit" or "float32".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Eight => "8-bit",
            Self::Sixteen => "16-bit",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intensities_have_bounds_and_a_step_and_values_have_neither_white() {
        assert_eq!((Depth::Eight.bounds(), Depth::Float32.bounds()), (Some((0.0, 1.0)), None));
        assert!((Depth::Sixteen.rounding() - 1.0 / 65535.0 / 12f64.sqrt()).abs() <= 1e-18);
        assert!((Depth::Int16.rounding() - 1.0 / 12f64.sqrt()).abs() <= 1e-15);
        assert_eq!((Depth::Float64.rounding(), Depth::Int8.relative_rounding()), (0.0, 0.0));
        assert!(Depth::Float16.relative_rounding() > Depth::Float32.relative_rounding());
        assert_eq!((Depth::Int32.white(), Depth::Int32.written()), (1.0, Depth::Float64));
    }
}
