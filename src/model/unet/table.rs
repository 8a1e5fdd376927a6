//! The table of a network's parameters while its modules are laid out, one after the other (method §8).

use crate::model::Activation;
use crate::model::unet::config::{Padding, UNetConfig};
use crate::model::unet::layout::{BatchNorm, Conv, Entry, Input, Place};

/// The table so far.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) config: UNetConfig,
    /// The tensors in state-dict order.
    pub(crate) entries: Vec<Entry>,
    /// Length of the flat parameters.
    pub(crate) params: usize,
    /// Length of the flat running statistics.
    pub(crate) buffers: usize,
}

impl Table {
    /// Adds the modules in the order of the reference's state dict, inc, down1, up1, down2, up2, …; returns
    /// the convolutions of each in the order of execution, down to the coarsest level and up again. What they
    /// read is not known yet.
    pub(crate) fn modules(&mut self) -> Vec<Vec<Conv>> {
        let f = self.config.filters.clone();
        let levels = f.len();
        let mut down = vec![self.module("inc", 0, [1, f[0], f[0]])];
        let mut up = Vec::new();
        for i in 1..levels {
            down.push(self.module(&format!("down{i}.conv"), i, [f[i - 1], f[i], f[i]]));
            // up1 is the coarsest one.
            let (low, skip) = (f[levels - i], f[levels - i - 1]);
            let name = format!("up{i}.conv");
            up.push(self.module(&name, levels - 1 - i, [low + skip, (low + skip) / 2, skip]));
        }
        down.into_iter().chain(up).collect()
    }

    /// Adds a tensor of parameters and returns its offset.
    pub(crate) fn param(&mut self, name: &str, shape: &[usize], dead: bool, bound: f64) -> usize {
        let offset = self.params;
        self.params += shape.iter().product::<usize>();
        let place = Place::Param(offset);
        self.entries.push(Entry { name: name.to_owned(), shape: shape.to_vec(), place, dead, bound });
        offset
    }

    fn buffer(&mut self, name: &str, len: usize) -> usize {
        let offset = self.buffers;
        self.buffers += len;
        let place = Place::Buffer(offset);
        self.entries.push(Entry { name: name.to_owned(), shape: vec![len], place, dead: false, bound: 0.0 });
        offset
    }

    /// The convolutions of a module from c[0] to c[2] channels in the order of execution.
    fn module(&mut self, module: &str, level: usize, c: [usize; 3]) -> Vec<Conv> {
        if self.config.res_blocks {
            self.res_block(module, level, c[0], c[2])
        } else {
            self.double_conv(module, level, c)
        }
    }

    /// Conv(c[0] → c[1]) → BN → activation → Conv(c[1] → c[2]) → BN → ReLU, perhaps without the BN.
    fn double_conv(&mut self, module: &str, level: usize, c: [usize; 3]) -> Vec<Conv> {
        let activation = self.config.activation;
        let layers = [(0, c[0], c[1], activation), (3, c[1], c[2], Activation::Relu)];
        let layer = |(place, c_in, c_out, activation): (usize, usize, usize, Activation)| {
            let conv =
                self.conv(&format!("{module}.double_conv.{place}"), level, [c_in, c_out], 9, activation);
            let norm = self.norm(&format!("{module}.double_conv.{}", place + 1), c_out);
            Conv { norm, ..conv }
        };
        layers.map(layer).into()
    }

    /// A [`ResBlock`](crate::model::unet::layout::ResBlock); the order of its tensors is that of the
    /// reference.
    fn res_block(&mut self, module: &str, level: usize, c_in: usize, c_out: usize) -> Vec<Conv> {
        let activation = self.config.activation;
        let sample = (c_in != c_out).then(|| {
            let name = format!("{module}.sample_input");
            let conv = self.conv(&name, level, [c_in, c_out], 1, Activation::Identity);
            Conv { norm: self.norm(&format!("{module}.bn_sample"), c_out), ..conv }
        });
        self.mark_dead(module, level, c_in);
        let layer = |(place, c_in): (usize, usize)| {
            let norm = self.norm(&format!("{module}.bn{place}"), c_out);
            let conv = self.conv(&format!("{module}.conv{place}"), level, [c_in, c_out], 9, activation);
            Conv { norm, ..conv }
        };
        [(1, c_in), (2, c_out)].map(layer).into_iter().chain(sample).collect()
    }

    /// Marks the parameters of a block's shortcut that change nothing. The mean shift cancels a constant that
    /// is added to the last block's sum. Batch norms cancel a constant that is added to another block's sum,
    /// unless zero padding makes it differ at the border, and they cancel the scale of a single input
    /// channel.
    fn mark_dead(&mut self, module: &str, level: usize, c_in: usize) {
        let UNetConfig { padding, batch_norm, .. } = self.config;
        let last = level == 0 && (module != "inc" || self.config.levels() == 1);
        for (name, dead) in [
            ("sample_input.weight", batch_norm && c_in == 1),
            ("sample_input.bias", batch_norm || last),
            ("bn_sample.bias", last || padding == Padding::Circular),
        ] {
            let name = format!("{module}.{name}");
            self.entries.iter_mut().filter(|e| e.name == name).for_each(|e| e.dead = dead);
        }
    }

    /// A convolution; its batch norm and what it reads are not known yet.
    fn conv(&mut self, name: &str, level: usize, c: [usize; 2], taps: usize, activation: Activation) -> Conv {
        let ([c_in, c_out], side) = (c, taps.isqrt());
        let bound = 1.0 / ((taps * c_in) as f64).sqrt();
        let weight = self.param(&format!("{name}.weight"), &[c_out, c_in, side, side], false, bound);
        let bias = self.param(&format!("{name}.bias"), &[c_out], self.config.batch_norm, bound);
        let (name, input) = (name.to_owned(), Input::Field);
        Conv { name, level, input, c_in, c_out, taps, activation, weight, bias, norm: None }
    }

    /// A batch norm, if the network has them.
    fn norm(&mut self, name: &str, channels: usize) -> Option<BatchNorm> {
        if !self.config.batch_norm {
            return None;
        }
        let norm = BatchNorm {
            gamma: self.param(&format!("{name}.weight"), &[channels], false, 0.0),
            beta: self.param(&format!("{name}.bias"), &[channels], false, 0.0),
            running_mean: self.buffer(&format!("{name}.running_mean"), channels),
            running_var: self.buffer(&format!("{name}.running_var"), channels),
        };
        self.entries.push(Entry {
            name: format!("{name}.num_batches_tracked"),
            shape: vec![],
            place: Place::BatchesTracked,
            dead: false,
            bound: 0.0,
        });
        Some(norm)
    }
}
