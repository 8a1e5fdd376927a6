//! What a convolution reads, one sample at a time: activations are made again from z, pooled, upsampled and
//! concatenated on the way, and padded.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::nn::max_pool::max_pool;
use crate::cpu::nn::padding::{fill_border, pad};
use crate::cpu::nn::upsample::upsample;
use crate::cpu::unet::network::Network;
use crate::model::unet::{Conv, Input};
use std::borrow::Cow;

/// One sample's planes, which a rayon task has for itself.
#[derive(Clone, Default)]
pub(crate) struct Scratch<T> {
    pub(crate) padded: Vec<T>,
    pub(crate) plane: Vec<T>,
    pub(crate) planes: Vec<T>,
}

impl<T: Real> Network<T> {
    /// Fills `scratch.padded` `[c_in, nx+2, ny+2]` with what `conv` reads of sample n; `input` is the
    /// network's.
    pub(crate) fn load(&self, conv: &Conv, n: usize, input: &[T], scratch: &mut Scratch<T>) {
        let (nx, ny) = self.grid(conv.level);
        let Scratch { padded, plane, .. } = scratch;
        padded.resize(conv.c_in * (nx + 2) * (ny + 2), T::zero());
        match conv.input {
            Input::Field => {
                pad(self.net.config.padding, &input[n * nx * ny..][..nx * ny], padded, 1, nx, ny);
                return;
            }
            Input::Block(b) => {
                let len = conv.c_in * nx * ny;
                let own = &self.blocks[b].input[n * len..][..len];
                pad(self.net.config.padding, own, padded, conv.c_in, nx, ny);
                return;
            }
            Input::Activation(j) => {
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    self.activate(j, n, c, interior(out, nx, ny));
                }
            }
            Input::Pool(j) => {
                plane.resize(4 * nx * ny, T::zero());
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    self.activate(j, n, c, plane.chunks_exact_mut(2 * ny));
                    for (rows, out) in plane.chunks_exact(4 * ny).zip(interior(out, nx, ny)) {
                        max_pool(rows, out, 2 * ny);
                    }
                }
            }
            Input::SkipUp { skip, low } => {
                let skip_channels = self.net.convs[skip].c_out;
                plane.resize(5 * nx * ny / 4, T::zero());
                let (coarse, fine) = plane.split_at_mut(nx * ny / 4);
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    if c < skip_channels {
                        self.activate(skip, n, c, interior(out, nx, ny));
                    } else {
                        self.activate(low, n, c - skip_channels, coarse.chunks_exact_mut(ny / 2));
                        upsample(coarse, fine, nx / 2, ny / 2);
                        for (row, out) in fine.chunks_exact(ny).zip(interior(out, nx, ny)) {
                            out.copy_from_slice(row);
                        }
                    }
                }
            }
        }
        fill_border(self.net.config.padding, padded, conv.c_in, nx, ny);
    }

    /// Writes the activation of layer j, sample n, channel c to `rows`.
    pub(crate) fn activate<'a>(&self, j: usize, n: usize, c: usize, rows: impl Iterator<Item = &'a mut [T]>) {
        let (nx, ny) = self.grid(self.net.convs[j].level);
        let (function, norm) = (self.net.convs[j].activation, self.norms[j][c]);
        let plane = &self.z[j][(n * self.net.convs[j].c_out + c) * nx * ny..][..nx * ny];
        rows.zip(plane.chunks_exact(ny)).for_each(|(row, z)| batch_norm::activate(function, norm, z, row));
    }
}

/// The weight of a convolution as that of a 3×3 one. A 1×1 convolution is a 3×3 one whose other taps are
/// zero.
pub(crate) fn nine_taps<'a, T: Real>(conv: &Conv, params: &'a [T]) -> Cow<'a, [T]> {
    let weight = &params[conv.weight..][..conv.taps * conv.c_in * conv.c_out];
    if conv.taps == 9 {
        return weight.into();
    }
    let mut taps = vec![T::zero(); 9 * weight.len()];
    taps.iter_mut().skip(4).step_by(9).zip(weight).for_each(|(tap, &w)| *tap = w);
    taps.into()
}

/// The planes `[nx+2, ny+2]` of padded channels.
fn planes_mut<T>(padded: &mut [T], nx: usize, ny: usize) -> impl Iterator<Item = &mut [T]> {
    padded.chunks_exact_mut((nx + 2) * (ny + 2))
}

/// The rows of a padded plane without its border.
fn interior<T>(plane: &mut [T], nx: usize, ny: usize) -> impl Iterator<Item = &mut [T]> {
    plane.chunks_exact_mut(ny + 2).skip(1).take(nx).map(move |row| &mut row[1..=ny])
}
