//! Adds up rows of partial sums in a fixed order: all that wait in scratch memory, by one dispatch.

use crate::gpu::runtime::recording::folded;
use crate::gpu::{Gpu, KernelSpec, MemoryUse, Recorder, Tensor};
use crate::{Error, Result};

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

/// Rows of partial sums, `[count, step·columns]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The number of rows.
    pub count: usize,
    /// The number of wanted columns.
    pub columns: usize,
    /// Which columns of a row are wanted.
    pub wanted: Columns,
}

impl Rows {
    /// Every column of `count` rows.
    pub fn whole(count: usize, columns: usize) -> Self {
        Self { count, columns, wanted: Columns::ALL }
    }

    fn len(self) -> usize {
        self.count * self.pitch()
    }

    fn pitch(self) -> usize {
        self.columns * self.wanted.step
    }
}

/// Rows of partial sums in scratch memory that wait for being added up, several matrices behind each other.
#[must_use = "partial sums are nothing until they are added up"]
pub struct PartialSums<'a> {
    scratch: &'a Tensor,
    total: &'a Tensor,
    used: usize,
    waiting: Vec<Waiting>,
}

/// Rows with the place of their first element in the scratch memory and of their first sum in the total.
#[derive(Clone, Copy)]
struct Waiting {
    rows: Rows,
    at: usize,
    offset: usize,
}

impl<'a> PartialSums<'a> {
    /// Scratch elements on `gpu` for matrices of so many elements: room for all to wait together where that
    /// is not too much and fits into one binding, and at least for the largest.
    pub fn scratch_len(gpu: &Gpu, matrices: &[usize]) -> usize {
        /// 32 MiB.
        const MUCH: usize = 8 << 20;
        let largest = matrices.iter().copied().max().unwrap_or(0);
        let most = MUCH.min((gpu.max_tensor_bytes() / 4) as usize).max(largest);
        matrices.iter().sum::<usize>().min(most)
    }

    /// For sums that go to `total`; nothing else may use `scratch` until they have been added up.
    pub fn new(scratch: &'a Tensor, total: &'a Tensor) -> Self {
        Self { scratch, total, used: 0, waiting: Vec::new() }
    }

    /// The scratch memory, where the next call of `recorder` is to leave `rows`, and the place of their first
    /// element there. Their sums will be total[offset + j] = Σ_i rows[i, step·j + first]. If room lacks,
    /// those that wait are added up before.
    ///
    /// # Errors
    /// [`Error::Device`] when the scratch memory cannot hold `rows` at all, or as [`PartialSums::add_up`].
    pub fn make_room(
        &mut self,
        recorder: &mut Recorder,
        rows: Rows,
        offset: usize,
    ) -> Result<(&'a Tensor, usize)> {
        let room = self.scratch.len();
        if rows.len() > room {
            let message = format!("{} partial sums do not fit into {room}", rows.len());
            return Err(Error::Device(format!("{}: {message}", self.scratch.label())));
        }
        if self.used + rows.len() > room {
            self.record(recorder)?;
        }
        let at = self.used;
        self.used += rows.len();
        self.waiting.push(Waiting { rows, at, offset });
        Ok((self.scratch, at))
    }

    /// Adds up all rows that wait.
    ///
    /// # Errors
    /// [`Error::Device`] when the table of what is to be added cannot be allocated or the kernel not built.
    pub fn add_up(mut self, recorder: &mut Recorder) -> Result<()> {
        self.record(recorder)
    }

    fn record(&mut self, recorder: &mut Recorder) -> Result<()> {
        /// Columns of a workgroup, and its invocations per column.
        const COLUMNS: usize = 32;
        const STRIPES: usize = 8;
        let waiting = std::mem::take(&mut self.waiting);
        let used = std::mem::take(&mut self.used);
        if waiting.is_empty() {
            return Ok(());
        }
        let mut blocks: Vec<[u32; 6]> = Vec::new();
        for Waiting { rows, at, offset } in &waiting {
            for column in (0..rows.columns).step_by(COLUMNS) {
                let first = at + column * rows.wanted.step + rows.wanted.first;
                let columns = COLUMNS.min(rows.columns - column);
                let block = [first, rows.pitch(), rows.wanted.step, rows.count, offset + column, columns];
                blocks.push(block.map(|number| number as u32));
            }
        }
        let gpu = recorder.gpu;
        let numbers = blocks.as_flattened();
        let table =
            gpu.allocate_for(MemoryUse::Scratch, || gpu.tensor("blocks of columns", numbers.len()))?;
        gpu.queue.write_buffer(&table.buffer, 0, bytemuck::cast_slice(numbers));
        let spec = KernelSpec {
            constants: vec![("COLUMNS", COLUMNS as u32), ("STRIPES", STRIPES as u32)],
            ..KernelSpec::new("nn/sum_rows")
        };
        let end = waiting.iter().map(|w| w.offset + w.rows.columns).max().unwrap_or(0);
        let buffers =
            [("blocks", &table, numbers.len()), ("rows", self.scratch, used), ("total", self.total, end)];
        let params = [("count", blocks.len().into())];
        recorder.call(&spec, &params, &buffers, folded(blocks.len()))?;
        recorder.keep(table);
        let columns = waiting.iter().map(|w| w.rows.columns).sum();
        let added = waiting.iter().map(|w| w.rows.count * w.rows.columns).sum();
        recorder.declare_touched("rows", added)?;
        recorder.declare_touched("total", columns)?;
        recorder.declare_flops(added);
        Ok(())
    }
}
