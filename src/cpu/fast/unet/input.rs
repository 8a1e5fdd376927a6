//! What a convolution reads, one sample at a time: activations are made again from z, pooled, upsampled and
//! concatenated on the way, and padded.

use crate::cpu::fast::nn::channels::{Grid, View, ViewMut, whole_mut};
use crate::cpu::fast::nn::norm::activate;
use crate::cpu::fast::nn::pool::max_pool;
use crate::cpu::fast::nn::tiles::Tiles;
use crate::cpu::fast::nn::upsample::upsample;
use crate::cpu::fast::unet::network::Network;
use crate::cpu::fast::unet::scratch::Scratch;
use crate::model::Padding;
use crate::model::unet::{Conv, Input};

impl Network {
    /// Fills `scratch.padded` with what `conv` reads of sample n; `input` is the network's.
    pub(crate) fn load(&self, conv: &Conv, n: usize, input: &[f32], scratch: &mut Scratch) {
        let (grid, channels) = (self.grid_of(conv.level), self.inputs(conv).stored());
        let Scratch { padded, activation, .. } = scratch;
        let mut out = resized(padded, grid, channels);
        match conv.input {
            Input::Field => copy(&input[n * grid.cells()..][..grid.cells()], grid, channels, &mut out),
            Input::Block(b) => {
                let len = grid.cells() * channels;
                copy(&self.blocks[b].input[n * len..][..len], grid, channels, &mut out);
            }
            Input::Activation(j) => self.activate(j, n, out),
            Input::Pool(j) => {
                self.activate_to(j, n, activation);
                max_pool(activation, channels, grid, out);
            }
            Input::SkipUp { skip, low } => {
                let first = self.norms[skip].stored();
                self.activate_to(low, n, activation);
                let up = ViewMut { values: &mut out.values[first..], ..out };
                upsample(activation, channels - first, grid.half(), up);
                self.activate(skip, n, out);
            }
        }
        fill_border(self.net.config.padding, padded, grid, channels);
    }

    /// Writes the activation of layer j, sample n.
    pub(crate) fn activate(&self, j: usize, n: usize, out: ViewMut) {
        let (grid, layer) = (self.grid_of(self.net.convs[j].level), self.layer(j));
        let len = grid.cells() * layer.norms.stored();
        activate(layer, &self.z[j][n * len..][..len], grid, out);
    }

    /// The same, to an array of its own, `[nx, ny, channels]`.
    pub(crate) fn activate_to(&self, j: usize, n: usize, out: &mut Vec<f32>) {
        let (grid, channels) = (self.grid_of(self.net.convs[j].level), self.norms[j].stored());
        out.resize(grid.cells() * channels, 0.0);
        self.activate(j, n, whole_mut(out, grid, channels));
    }
}

/// The cells inside a padded plane that is given its size.
pub(crate) fn resized(padded: &mut Vec<f32>, grid: Grid, channels: usize) -> ViewMut<'_> {
    let [rows, pitch] = Tiles::new(grid).padded();
    padded.resize(rows * pitch * channels, 0.0);
    ViewMut { values: &mut padded[(pitch + 1) * channels..], row: pitch * channels, cell: channels }
}

/// The same, to read from.
pub(crate) fn interior(padded: &[f32], grid: Grid, channels: usize) -> View<'_> {
    let [_, pitch] = Tiles::new(grid).padded();
    View { values: &padded[(pitch + 1) * channels..], row: pitch * channels, cell: channels }
}

/// Copies an array `[nx, ny, channels]`.
pub(crate) fn copy(from: &[f32], grid: Grid, channels: usize, out: &mut ViewMut) {
    for (x, row) in from.chunks_exact(grid.ny * channels).enumerate() {
        if out.cell == channels {
            out.values[x * out.row..][..row.len()].copy_from_slice(row);
        } else {
            for (y, cell) in row.chunks_exact(channels).enumerate() {
                out.values[x * out.row + y * out.cell..][..channels].copy_from_slice(cell);
            }
        }
    }
}

/// Fills the cells around the inner ones: from these as on a torus, or with zeros, and with zeros what only
/// fills the last tiles. The adjoint convolution pads the outputs' gradient in the same way.
pub(crate) fn fill_border(padding: Padding, padded: &mut [f32], grid: Grid, channels: usize) {
    let [rows, pitch] = Tiles::new(grid).padded();
    let Grid { nx, ny } = grid;
    for row in padded.chunks_exact_mut(pitch * channels) {
        row[(ny + 1) * channels..].fill(0.0);
        match padding {
            Padding::Circular => {
                row.copy_within(ny * channels..(ny + 1) * channels, 0);
                row.copy_within(channels..2 * channels, (ny + 1) * channels);
            }
            Padding::Zero => row[..channels].fill(0.0),
        }
    }
    let row = pitch * channels;
    padded[(nx + 1) * row..rows * row].fill(0.0);
    match padding {
        Padding::Circular => {
            padded.copy_within(nx * row..(nx + 1) * row, 0);
            padded.copy_within(row..2 * row, (nx + 1) * row);
        }
        Padding::Zero => padded[..row].fill(0.0),
    }
}
