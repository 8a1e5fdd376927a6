//! Two-dimensional FFT on the GPU, radix 2, two real fields packed in one complex field.
//!
//! # Normalisation
//! Forward has no factor, inverse divides by N = nx·ny.
//!
//! # Output order
//! Unshifted: bin k of an axis of n points holds frequency k/n for k < n/2 and (k-n)/n above.

use super::recording::{Recorder, WORKGROUP, flat_workgroups, real_spec};
use super::{Gpu, KernelSpec, Tensor, params::params};
use crate::Result;
use crate::model::Precision;
use crate::model::fourier::twiddles;

params! {
    struct PackParams { batch: u32, cells: u32 }
}

params! {
    struct FftParams {
        lines: u32,
        lines_per_block: u32,
        block_stride: u32,
        line_stride: u32,
        element_stride: u32,
        inverse: u32,
    }
}

/// Complex fields that hold `batch` real ones.
pub fn pairs(batch: usize) -> usize {
    batch.div_ceil(2)
}

/// The plan of a batch of `nx` × `ny` transforms: sizes and twiddle tables.
pub struct Fft {
    nx: usize,
    ny: usize,
    twiddles_x: Tensor,
    twiddles_y: Tensor,
}

impl Fft {
    /// Uploads the twiddles, computed in f64. Both sides are powers of two from 8 to 2048.
    pub fn new(gpu: &Gpu, nx: usize, ny: usize, precision: Precision) -> Result<Self> {
        let table = |n: usize| -> Vec<f64> { twiddles(n).into_iter().flatten().collect() };
        Ok(Self {
            nx,
            ny,
            twiddles_x: gpu.table("twiddles x", &table(nx), precision)?,
            twiddles_y: gpu.table("twiddles y", &table(ny), precision)?,
        })
    }

    /// F of `count` complex fields `data` `[count, nx, ny]`, in place, without a factor.
    pub fn forward(&self, recorder: &mut Recorder, data: &Tensor, count: usize) -> Result<()> {
        self.along_y(recorder, data, count, false)?;
        self.along_x(recorder, data, count, false)
    }

    /// F⁻¹ of `count` complex fields in place, with the factor 1/N.
    pub fn inverse(&self, recorder: &mut Recorder, data: &Tensor, count: usize) -> Result<()> {
        self.along_x(recorder, data, count, true)?;
        self.along_y(recorder, data, count, true)
    }

    fn along_y(&self, recorder: &mut Recorder, data: &Tensor, count: usize, inverse: bool) -> Result<()> {
        let params = FftParams {
            lines: (count * self.nx) as u32,
            lines_per_block: (count * self.nx) as u32,
            block_stride: 0,
            line_stride: self.ny as u32,
            element_stride: 1,
            inverse: inverse.into(),
        };
        self.pass(recorder, data, count, &self.twiddles_y, params)
    }

    fn along_x(&self, recorder: &mut Recorder, data: &Tensor, count: usize, inverse: bool) -> Result<()> {
        let params = FftParams {
            lines: (count * self.ny) as u32,
            lines_per_block: self.ny as u32,
            block_stride: (self.nx * self.ny) as u32,
            line_stride: 1,
            element_stride: self.ny as u32,
            inverse: inverse.into(),
        };
        self.pass(recorder, data, count, &self.twiddles_x, params)
    }

    fn pass(
        &self,
        recorder: &mut Recorder,
        data: &Tensor,
        count: usize,
        twiddles: &Tensor,
        params: FftParams,
    ) -> Result<()> {
        let length = twiddles.len() as u32; // n/2 complex numbers
        let lines = lines_per_workgroup(length);
        recorder.call(
            &fft_spec(length, data.precision()),
            &params,
            &[("twiddles", twiddles, length as usize), ("data", data, 2 * count * self.nx * self.ny)],
            [params.lines.div_ceil(lines), 1, 1],
        )
    }
}

/// As many lines as give every invocation one butterfly; one line if that is more.
fn lines_per_workgroup(length: u32) -> u32 {
    (2 * WORKGROUP / length).max(1)
}

fn fft_spec(length: u32, precision: Precision) -> KernelSpec {
    let files = [include_str!("../../shaders/lib/complex.wgsl"), include_str!("../../shaders/fft.wgsl")];
    let mut spec = real_spec(&format!("fft/{length}"), &files, precision);
    spec.constants.extend([("LOG2_LENGTH", length.ilog2()), ("LINES", lines_per_workgroup(length))]);
    spec
}

/// Real fields `[batch, cells]` to complex fields `[pairs(batch), cells]`.
pub fn pack(
    recorder: &mut Recorder,
    field: &Tensor,
    packed: &Tensor,
    batch: usize,
    cells: usize,
) -> Result<()> {
    let files = [include_str!("../../shaders/lib/grid.wgsl"), include_str!("../../shaders/pack.wgsl")];
    recorder.call(
        &real_spec("pack", &files, field.precision()),
        &PackParams { batch: batch as u32, cells: cells as u32 },
        &[("field", field, batch * cells), ("packed", packed, 2 * pairs(batch) * cells)],
        flat_workgroups(pairs(batch) * cells),
    )
}

/// Complex fields `[pairs(batch), cells]` to real fields `[batch, cells]`.
pub fn unpack(
    recorder: &mut Recorder,
    packed: &Tensor,
    field: &Tensor,
    batch: usize,
    cells: usize,
) -> Result<()> {
    let files = [include_str!("../../shaders/lib/grid.wgsl"), include_str!("../../shaders/unpack.wgsl")];
    recorder.call(
        &real_spec("unpack", &files, field.precision()),
        &PackParams { batch: batch as u32, cells: cells as u32 },
        &[("packed", packed, 2 * pairs(batch) * cells), ("field", field, batch * cells)],
        flat_workgroups(batch * cells),
    )
}
