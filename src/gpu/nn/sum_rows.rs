//! Adds up rows of partial sums in a fixed order.

use crate::Result;
use crate::gpu::{KernelSpec, Recorder, Tensor};

/// Which columns of the rows are added up: every `step`-th from `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The distance from one wanted column to the next.
    pub step: usize,
    /// The first wanted column.
    pub first: usize,
}

impl Columns {
    /// Every column.
    pub const ALL: Self = Self { step: 1, first: 0 };
}

/// Rows of partial sums in scratch memory, which nothing else may use until they are added up.
#[must_use = "partial sums are nothing until they are added up"]
pub struct PartialSums<'a> {
    /// At least `count`·`columns`·step elements.
    pub rows: &'a Tensor,
    /// The number of rows.
    pub count: usize,
    /// The number of wanted columns.
    pub columns: usize,
    /// Which columns of a row are wanted.
    pub wanted: Columns,
}

impl PartialSums<'_> {
    /// total[offset + j] = Σ_i rows[i, step·j + first].
    pub fn add_up(self, recorder: &mut Recorder, total: &Tensor, offset: usize) -> Result<()> {
        /// Columns of a workgroup, and its invocations per column.
        const COLUMNS: usize = 32;
        const STRIPES: usize = 8;
        let spec = KernelSpec {
            constants: vec![("COLUMNS", COLUMNS as u32), ("STRIPES", STRIPES as u32)],
            ..KernelSpec::new("nn/sum_rows")
        };
        let Self { rows, count, columns, wanted: Columns { step, first } } = self;
        let params = [
            ("rows", count.into()),
            ("columns", columns.into()),
            ("offset", offset.into()),
            ("step", step.into()),
            ("first", first.into()),
        ];
        let buffers = [("rows", rows, count * columns * step), ("total", total, offset + columns)];
        recorder.call(&spec, &params, &buffers, [columns.div_ceil(COLUMNS) as u32, 1, 1])?;
        recorder.declare_touched("rows", count * columns)?;
        recorder.declare_touched("total", columns)?;
        recorder.declare_flops(count * columns);
        Ok(())
    }
}
