//! The U-Net as a list of layers and a table of parameters: what to compute and where its numbers lie (SPEC 5, 8).

pub mod config;
pub mod init;
mod table;

use crate::model::Activation;
pub use crate::model::unet::config::{LEVELS, MAX_BATCH, Padding, UNetConfig};
use crate::model::unet::table::Table;

/// ε of batch normalisation.
pub const NORM_EPSILON: f64 = 1e-5;

/// Weight of the newest batch in the running statistics.
pub const NORM_MOMENTUM: f64 = 0.1;

/// What a 3×3 convolution reads. Layers are named by their index in [`UNet::convs`]; "activation" is
/// [`Conv::activation`] of the batch norm of that layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The network's input, one channel.
    Field,
    /// The activation of a layer at the same level.
    Activation(usize),
    /// The 2×2 max-pooled activation of a layer one level finer.
    Pool(usize),
    /// The activation of `skip` at the same level, followed by the ×2 upsampled activation of `low`.
    SkipUp {
        /// Layer at the same level, whose channels come first.
        skip: usize,
        /// Layer one level coarser, upsampled.
        low: usize,
    },
    /// The input of a residual block, by its index in [`UNet::blocks`].
    Block(usize),
}

/// A residual block, activation(norm(second(activation(norm(first(x)))))) + shortcut(x), where the shortcut is
/// norm(sample(x)) if the numbers of channels differ, else x itself.
#[derive(Clone, Debug)]
pub struct ResBlock {
    /// Where x comes from: as of a convolution, but of blocks, which have no activation behind their sum.
    pub source: Source,
    /// The level of its grid.
    pub level: usize,
    /// Channels of x.
    pub c_in: usize,
    /// Channels of the sum.
    pub c_out: usize,
    /// Its first convolution in [`UNet::convs`]; the second follows it.
    pub first: usize,
    /// The 1×1 convolution of its shortcut, which follows the second, if the numbers of channels differ.
    pub sample: Option<usize>,
}

impl ResBlock {
    /// Its second convolution.
    pub fn second(&self) -> usize {
        self.first + 1
    }

    /// Its convolution that is executed last.
    pub fn last(&self) -> usize {
        self.sample.unwrap_or(self.second())
    }
}

/// One convolution with the batch norm, if there is one, and the activation that follow it. Offsets count floats in the flat buffers.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Name of its double convolution and of its place in it, such as `up1.conv.double_conv.3`.
    pub name: String,
    /// Its grid is the input's grid divided by 2^level.
    pub level: usize,
    /// Where its input comes from.
    pub source: Source,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Taps of its weight: 9 (3×3), or 1 of a residual block's shortcut.
    pub taps: usize,
    /// What follows it, or its batch norm.
    pub activation: Activation,
    /// Offset of the weight `[c_out, c_in, 3, 3]`, or `[c_out, c_in, 1, 1]`, in the parameters.
    pub weight: usize,
    /// Offset of the convolution's bias `[c_out]`. A batch norm cancels it: then it has zero gradient.
    pub bias: usize,
    /// The batch norm, if the network has them.
    pub norm: Option<BatchNorm>,
}

/// Where a batch norm's numbers lie in the flat parameters and in the flat running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// Offset of the scale γ `[c_out]`.
    pub gamma: usize,
    /// Offset of the shift β `[c_out]`.
    pub beta: usize,
    /// Offset of the running mean `[c_out]` in the buffers.
    pub running_mean: usize,
    /// Offset of the running variance `[c_out]` in the buffers.
    pub running_var: usize,
}

/// Where a named tensor's numbers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this offset of the flat parameters.
    Param(usize),
    /// At this offset of the flat running statistics.
    Buffer(usize),
    /// The count of training batches seen, an i64 scalar.
    BatchesTracked,
}

/// One tensor of the state dict (SPEC 8).
#[derive(Clone, Debug)]
pub struct Entry {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Where the numbers are.
    pub place: Place,
    /// Parameters whose gradient is zero in exact arithmetic (SPEC 5), or would be without batch norm's ε.
    pub dead: bool,
    /// Bound of the uniform initial distribution, for convolution weights and biases (SPEC 5).
    pub bound: f64,
}

impl Entry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no values; no U-Net has such a tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A U-Net with one input and one output channel.
#[derive(Clone, Debug)]
pub struct UNet {
    /// Levels, filters and the rest.
    pub config: UNetConfig,
    /// The convolutions but for the last, which is 1×1 to one channel, in the order of execution.
    pub convs: Vec<Conv>,
    /// The residual blocks that the convolutions make up, in the same order, if the network has them.
    pub blocks: Vec<ResBlock>,
    /// Channels into the final 1×1 convolution.
    pub out_channels: usize,
    /// Offset of the final weight `[1, out_channels, 1, 1]`.
    pub out_weight: usize,
    /// Offset of the final bias `[1]`.
    pub out_bias: usize,
    /// Every tensor in state-dict order.
    pub entries: Vec<Entry>,
    /// Length of the flat parameters.
    pub param_count: usize,
    /// Length of the flat running statistics.
    pub buffer_count: usize,
}

impl UNet {
    /// Lays out the network. Modules are created in the reference's order: inc, down1, up1, down2, up2, …, outc.
    pub fn new(config: &UNetConfig) -> Self {
        let f = &config.filters;
        let levels = config.levels();
        let mut table = Table { config: config.clone(), ..Table::default() };
        let mut inc = Vec::new();
        let (mut downs, mut ups) = (Vec::new(), Vec::new());
        inc.push(table.block("inc", 0, [1, f[0], f[0]]));
        for i in 1..levels {
            downs.push(table.block(&format!("down{i}.conv"), i, [f[i - 1], f[i], f[i]]));
            // up1 is the deepest one.
            let (low, skip) = (f[levels - i], f[levels - i - 1]);
            let name = format!("up{i}.conv");
            ups.push(table.block(&name, levels - 1 - i, [low + skip, (low + skip) / 2, skip]));
        }
        let bound = 1.0 / (f[0] as f64).sqrt();
        let out_weight = table.param("outc.weight", &[1, f[0], 1, 1], false, bound);
        let out_bias = table.param("outc.bias", &[1], true, bound);

        // Execution order: down to the bottom, then up again.
        let all: Vec<Vec<Conv>> = inc.into_iter().chain(downs).chain(ups).collect();
        let (mut convs, mut blocks) = (Vec::<Conv>::new(), Vec::new());
        for (b, mut own) in all.into_iter().enumerate() {
            let (first, level) = (convs.len(), own[0].level);
            // What a block leaves for others: its sum, or the activation of its second layer.
            let left_by = |block: usize| if config.res_blocks { block } else { 2 * block + 1 };
            let source = match b {
                0 => Source::Field,
                _ if b < levels => Source::Pool(left_by(b - 1)),
                // Block `levels` is up1, whose skip is the encoder block at the same level.
                _ => Source::SkipUp { skip: left_by(level), low: left_by(b - 1) },
            };
            own[1].source = Source::Activation(first);
            if config.res_blocks {
                // The first convolution, and the third, if there is one.
                own.iter_mut().step_by(2).for_each(|conv| conv.source = Source::Block(b));
                let (c_in, c_out) = (own[0].c_in, own[0].c_out);
                let sample = (own.len() == 3).then_some(first + 2);
                blocks.push(ResBlock { source, level, c_in, c_out, first, sample });
            } else {
                own[0].source = source;
            }
            convs.extend(own);
        }
        Self {
            config: config.clone(),
            convs,
            blocks,
            out_channels: f[0],
            out_weight,
            out_bias,
            entries: table.entries,
            param_count: table.params,
            buffer_count: table.buffers,
        }
    }

    /// Multiply-adds of the forward pass for one sample; forward and backward together need three times that.
    pub fn forward_macs(&self, nx: usize, ny: usize) -> u64 {
        let cells = |level: usize| ((nx >> level) * (ny >> level)) as u64;
        let convs: u64 = self.convs.iter().map(|c| (c.taps * c.c_in * c.c_out) as u64 * cells(c.level)).sum();
        convs + self.out_channels as u64 * cells(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_network_is_the_reference_network() {
        let net = UNet::new(&UNetConfig::default());
        assert_eq!(net.param_count, 37697);
        assert_eq!(net.entries.len(), 100);
        assert_eq!(net.entries[28].name, "up1.conv.double_conv.0.weight");
        assert_eq!(net.entries[28].shape, [16, 32, 3, 3]);
        assert_eq!(net.entries[99].name, "outc.bias");
        assert_eq!(net.convs.len(), 14);
        let macs = net.forward_macs(64, 64);
        assert!((macs as f64 / 53.4e6 - 1.0).abs() < 1e-2, "{macs}");
    }

    #[test]
    fn sources_follow_the_u() {
        let net = UNet::new(&UNetConfig { filters: vec![8, 16, 24], ..Default::default() });
        let sources: Vec<Source> = net.convs.iter().map(|c| c.source).collect();
        use Source::*;
        assert_eq!(
            sources,
            [
                Field,
                Activation(0),
                Pool(1),
                Activation(2),
                Pool(3),
                Activation(4),
                SkipUp { skip: 3, low: 5 },
                Activation(6),
                SkipUp { skip: 1, low: 7 },
                Activation(8),
            ]
        );
        let shapes: Vec<_> = net.convs.iter().map(|c| (c.level, c.c_in, c.c_out)).collect();
        assert_eq!(shapes[6..], [(1, 40, 20), (1, 20, 16), (0, 24, 12), (0, 12, 8)]);
    }

    #[test]
    fn residual_blocks_follow_the_u_too() {
        let net = UNet::new(&UNetConfig { filters: vec![8, 8, 16], res_blocks: true, ..Default::default() });
        use Source::*;
        let blocks: Vec<_> =
            net.blocks.iter().map(|b| (b.source, b.level, b.c_in, b.c_out, b.first, b.sample)).collect();
        assert_eq!(
            blocks,
            [
                (Field, 0, 1, 8, 0, Some(2)),
                (Pool(0), 1, 8, 8, 3, None),
                (Pool(1), 2, 8, 16, 5, Some(7)),
                (SkipUp { skip: 1, low: 2 }, 1, 24, 8, 8, Some(10)),
                (SkipUp { skip: 0, low: 3 }, 0, 16, 8, 11, Some(13)),
            ]
        );
        let sources: Vec<_> = net.convs[..5].iter().map(|c| c.source).collect();
        assert_eq!(sources, [Block(0), Activation(0), Block(0), Block(1), Activation(3)]);
        let names: Vec<_> = net.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names[..3], ["inc.sample_input.weight", "inc.sample_input.bias", "inc.bn_sample.weight"]);
        assert_eq!(names[7], "inc.bn1.weight");
        assert_eq!(names[12..14], ["inc.conv1.weight", "inc.conv1.bias"]);
        assert_eq!(names[21], "down1.conv.bn1.weight");
    }

    #[test]
    fn a_single_level_is_a_plain_stack() {
        let net = UNet::new(&UNetConfig::new(1, &[8], Padding::Circular).unwrap());
        assert_eq!(net.convs.len(), 2);
        assert_eq!(net.entries.last().unwrap().name, "outc.bias");
    }
}
