//! A convolution's weights as its kernel reads them, and their gradient as it leaves it.

use crate::cpu::fast::nn::conv3x3::PointWeights;
use crate::cpu::fast::nn::gemm::COLUMNS;
use crate::cpu::fast::nn::{one_channel, pointwise};
use crate::cpu::fast::unet::network::{Network, outputs};
use crate::model::unet::Conv;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// 3×3, by Winograd's tiles.
    Tiles,
    /// 3×3 of the network's input.
    OneChannel,
    /// 1×1.
    Pointwise,
}

/// That of `conv`.
pub(crate) fn kernel(conv: &Conv) -> Kernel {
    match (conv.taps, conv.c_in) {
        (1, _) => Kernel::Pointwise,
        (_, 1) => Kernel::OneChannel,
        _ => Kernel::Tiles,
    }
}

/// The weights of one of them.
pub(crate) enum Weights {
    Tiles(PointWeights),
    OneChannel(Vec<[f32; COLUMNS]>),
    Pointwise(Vec<[f32; COLUMNS]>),
}

impl Network {
    /// The weights of `conv`.
    pub(crate) fn weights(&self, conv: &Conv, params: &[f32]) -> Weights {
        let (from, to, c_in) = (self.inputs(conv), outputs(conv), conv.c_in);
        let w = &params[conv.weight..][..conv.taps * c_in * conv.c_out];
        match kernel(conv) {
            Kernel::Tiles => Weights::Tiles(PointWeights::new(from, to, |o, i, k| w[(o * c_in + i) * 9 + k])),
            Kernel::OneChannel => {
                Weights::OneChannel(one_channel::pack(to.count(), to.stored(), |o, k| w[9 * o + k]))
            }
            Kernel::Pointwise => Weights::Pointwise(pointwise::pack(from, to, |o, i| w[o * c_in + i])),
        }
    }

    /// The weights of the adjoint of `conv`, w'[i, o, kx, ky] = w[o, i, 2 - kx, 2 - ky]: the gradient of what
    /// it has read is the same convolution of the padded gradient of its outputs. None where it has read the
    /// network's input, whose gradient is not wanted.
    pub(crate) fn adjoint(&self, conv: &Conv, params: &[f32]) -> Option<Weights> {
        let (from, to, c_in) = (self.inputs(conv), outputs(conv), conv.c_in);
        let w = &params[conv.weight..][..conv.taps * c_in * conv.c_out];
        (c_in > 1).then(|| match kernel(conv) {
            Kernel::Pointwise => Weights::Pointwise(pointwise::pack(to, from, |i, o| w[o * c_in + i])),
            _ => Weights::Tiles(PointWeights::new(to, from, |i, o, k| w[(o * c_in + i) * 9 + 8 - k])),
        })
    }

    /// Takes a gradient of the weights as the kernel leaves it to `[c_out, c_in, taps]`.
    pub(crate) fn unpack(&self, conv: &Conv, total: &[f32], out: &mut [f32]) {
        let (from, to) = (self.inputs(conv), outputs(conv));
        let (c_in, columns) = (from.stored(), to.stored().div_ceil(COLUMNS));
        for o in 0..conv.c_out {
            let (column, lane) = (to.at(o) / COLUMNS, to.at(o) % COLUMNS);
            for i in 0..conv.c_in {
                for tap in 0..conv.taps {
                    let row = match kernel(conv) {
                        Kernel::Tiles => (tap * columns + column) * c_in + from.at(i),
                        Kernel::OneChannel => column * 9 + tap,
                        Kernel::Pointwise => column * c_in + from.at(i),
                    };
                    out[(o * conv.c_in + i) * conv.taps + tap] = total[row * COLUMNS + lane];
                }
            }
        }
    }
}
