//! The weights of all 3×3 convolutions in the order in which their kernels read them, and the pivots of what
//! they store in 16 bits: once per step, one dispatch.

use crate::Result;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Gpu, Tensor};
use crate::model::Padding;

/// Marks a padded place, as in the shader.
const ZERO: u32 = u32::MAX;

/// Input channels are padded to a multiple of this, so that they can be staged several at a time.
pub const INPUT_MULTIPLE: usize = 8;

/// Weights `[c_out, c_in, 3, 3]`, or `[c_out, c_in, 1, 1]`, inside the flat parameters.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Where they start.
    pub offset: usize,
    /// Output channels, a multiple of 4.
    pub c_out: usize,
    /// Input channels: 1 or a multiple of 4.
    pub c_in: usize,
    /// 9, or 1: a 1×1 convolution is computed as the 3×3 one whose other taps are zero.
    pub taps: usize,
    /// What they meet beyond the border.
    pub padding: Padding,
    /// Where the pivots of the output come from; none where it is stored in 32 bits.
    pub pivot: Option<Pivot>,
}

/// Where a convolution's output is expected to lie.
#[derive(Clone, Copy, Debug)]
pub enum Pivot {
    /// Per channel at its running mean minus its bias, which the running mean includes and z does not.
    RunningMean {
        /// Offset of the biases `[c_out]` in the flat parameters.
        bias: usize,
        /// Offset of the running means `[c_out]` in the flat running statistics.
        running_mean: usize,
    },
    /// Around zero: without batch norm nothing is known, and no mean is subtracted later.
    Zero,
}

/// Weights as one convolution, forward or adjoint, reads them: `[blocks, inputs, 3, 3, 4·block_quads]`.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// All packed weights.
    pub buffer: &'a Tensor,
    /// Where these start.
    pub offset: usize,
    /// Channels that come out.
    pub c_out: usize,
    /// Channels that go in.
    pub c_in: usize,
    /// Taps that are not zero by definition.
    pub taps: usize,
    /// What they meet beyond the border.
    pub padding: Padding,
    /// Where the pivots of its output start in the buffer, if it has any.
    pub pivots: Option<usize>,
}

impl Packed<'_> {
    /// Vectors of four output channels that one workgroup computes: 1, 2 or 4.
    pub fn block_quads(&self) -> usize {
        block_quads(self.c_out)
    }

    /// Input channels with their padding.
    pub fn inputs(&self) -> usize {
        inputs(self.c_in)
    }

    /// Packed numbers, padding included, pivots not.
    pub fn numbers(&self) -> usize {
        packed_len(self.c_out, self.c_in)
    }
}

/// The packed weights of several convolutions, and the table that says where they come from.
#[derive(Clone)]
pub struct Packing {
    places: Tensor,
    packed: Tensor,
    /// Forward and adjoint offset of every convolution.
    offsets: Vec<[usize; 2]>,
    /// Offset of its pivots, if it has any.
    pivots: Vec<Option<usize>>,
    weights: Vec<Weights>,
}

impl Packing {
    /// Plans the packing of `weights`.
    pub fn new(gpu: &Gpu, weights: &[Weights]) -> Result<Self> {
        let mut places = Vec::new();
        let mut offsets = Vec::new();
        for w in weights {
            let forward = places.len();
            let place = |o: usize, i: usize, tap: usize| match w.taps {
                9 => Some(w.offset + (o * w.c_in + i) * 9 + tap),
                _ => (tap == 4).then_some(w.offset + o * w.c_in + i),
            };
            pack(&mut places, w.c_out, w.c_in, place);
            let adjoint = places.len();
            // out and in change places, taps run backwards
            pack(&mut places, w.c_in, w.c_out, |o, i, tap| place(i, o, 8 - tap));
            offsets.push([forward, adjoint]);
        }
        let (mut biases, mut means, mut pivots) = (Vec::new(), Vec::new(), Vec::new());
        for w in weights {
            pivots.push(w.pivot.map(|_| places.len() + biases.len()));
            // Workgroups read whole blocks.
            let padded = w.c_out.next_multiple_of(4 * block_quads(w.c_out));
            let padded_places =
                |first: usize| (0..padded).map(move |c| if c < w.c_out { (first + c) as u32 } else { ZERO });
            match w.pivot {
                None => {}
                Some(Pivot::RunningMean { bias, running_mean }) => {
                    biases.extend(padded_places(bias));
                    means.extend(padded_places(running_mean));
                }
                Some(Pivot::Zero) => {
                    biases.extend(vec![ZERO; padded]);
                    means.extend(vec![ZERO; padded]);
                }
            }
        }
        let packed = gpu.tensor("packed weights", places.len() + biases.len())?;
        places.extend(biases.into_iter().chain(means));
        let table = gpu.tensor("weight places", places.len())?;
        gpu.queue.write_buffer(&table.buffer, 0, bytemuck::cast_slice(&places));
        Ok(Self { places: table, packed, offsets, pivots, weights: weights.to_vec() })
    }

    /// Copies from the flat parameters `params`; the pivots also from the flat running statistics `running`.
    pub fn record(&self, recorder: &mut Recorder, params: &Tensor, running: &Tensor) -> Result<()> {
        let count = self.packed.len();
        let pivots = self.places.len() - count;
        recorder.call(
            &KernelSpec::new("nn/conv3x3/pack_weights"),
            &[("weights", (count - pivots).into()), ("pivots", pivots.into())],
            &[
                ("places", &self.places, self.places.len()),
                ("weights", params, params.len()),
                ("running", running, running.len()),
                ("packed", &self.packed, count),
            ],
            flat_workgroups(count),
        )?;
        recorder.declare_touched("running", pivots)
    }

    /// What the convolution with weights number `i` reads.
    pub fn forward(&self, i: usize) -> Packed<'_> {
        let w = self.weights[i];
        Packed {
            buffer: &self.packed,
            offset: self.offsets[i][0],
            c_out: w.c_out,
            c_in: w.c_in,
            taps: w.taps,
            padding: w.padding,
            pivots: self.pivots[i],
        }
    }

    /// What its adjoint reads: ∂L/∂input = wᵀ ∗ ∂L/∂z with the taps in reverse order.
    pub fn adjoint(&self, i: usize) -> Packed<'_> {
        let w = self.weights[i];
        Packed {
            buffer: &self.packed,
            offset: self.offsets[i][1],
            c_out: w.c_in,
            c_in: w.c_out,
            taps: w.taps,
            padding: w.padding,
            pivots: None,
        }
    }
}

/// Vectors of four output channels that a workgroup takes of `c_out`: 1, 2 or 4.
pub(crate) fn block_quads(c_out: usize) -> usize {
    c_out.div_ceil(4).next_power_of_two().min(4)
}

fn inputs(c_in: usize) -> usize {
    if c_in == 1 { 1 } else { c_in.next_multiple_of(INPUT_MULTIPLE) }
}

fn packed_len(c_out: usize, c_in: usize) -> usize {
    let block = 4 * block_quads(c_out);
    c_out.next_multiple_of(block) * inputs(c_in) * 9
}

fn pack(
    places: &mut Vec<u32>,
    c_out: usize,
    c_in: usize,
    place: impl Fn(usize, usize, usize) -> Option<usize>,
) {
    let block = 4 * block_quads(c_out);
    for o0 in (0..c_out).step_by(block) {
        for i in 0..inputs(c_in) {
            for tap in 0..9 {
                for o in o0..o0 + block {
                    let exists = o < c_out && i < c_in;
                    let number = if exists { place(o, i, tap) } else { None };
                    places.push(number.map_or(ZERO, |number| number as u32));
                }
            }
        }
    }
}
