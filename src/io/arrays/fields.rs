//! Batches of fields with the type that their file has.

/// A batch of fields, in C order: y contiguous, then x, then the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// `[batch, x, y]`, each at least 1.
    pub shape: [usize; 3],
    /// The numbers, as many as the product of `shape`.
    pub data: FieldData,
    /// Whether the file holds a single field `[x, y]` without the batch axis; then `shape[0]` is 1.
    pub rank2: bool,
}

/// The numbers of [`Fields`].
#[derive(Debug, Clone, PartialEq)]
pub enum FieldData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
}

impl FieldData {
    /// The numbers, exactly.
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.into_iter().map(f64::from).collect(),
            Self::F64(values) => values,
        }
    }
}
