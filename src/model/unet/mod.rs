//! The U-Net as a list of nodes and a table of parameters: what to compute, in which order, and where its
//! numbers lie (method §5 and §8).

pub mod config;
pub mod init;
pub mod layout;
mod table;
pub mod trained;
pub mod trained_for;

pub use crate::model::unet::config::{LEVELS, MAX_BATCH, Padding, UNetConfig};
pub use crate::model::unet::layout::{BatchNorm, Conv, Entry, Input, Node, Place, ResBlock};
use crate::model::unet::table::Table;

/// ε of batch normalisation.
pub const NORM_EPSILON: f64 = 1e-5;

/// Weight of the newest batch in the running statistics.
pub const NORM_MOMENTUM: f64 = 0.1;

/// A U-Net with one input and one output channel.
#[derive(Clone, Debug)]
pub struct UNet {
    /// Levels, filters and the rest.
    pub config: UNetConfig,
    /// The convolutions but for the last, which is 1×1 to one channel, in the order of execution.
    pub convs: Vec<Conv>,
    /// The residual blocks that the convolutions make up, in the same order, if the network has them.
    pub blocks: Vec<ResBlock>,
    /// What the passes do before the last convolution, in the order of execution.
    pub nodes: Vec<Node>,
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
    /// Lays out the network.
    pub fn new(config: &UNetConfig) -> Self {
        let mut table = Table { config: config.clone(), ..Table::default() };
        let modules = table.modules();
        let channels = config.filters[0];
        let bound = 1.0 / (channels as f64).sqrt();
        let out_weight = table.param("outc.weight", &[1, channels, 1, 1], false, bound);
        let out_bias = table.param("outc.bias", &[1], true, bound);
        let mut net = Self {
            config: config.clone(),
            convs: Vec::new(),
            blocks: Vec::new(),
            nodes: Vec::new(),
            out_channels: channels,
            out_weight,
            out_bias,
            entries: table.entries,
            param_count: table.params,
            buffer_count: table.buffers,
        };
        modules.into_iter().enumerate().for_each(|(number, convs)| net.append(number, convs));
        net
    }

    /// Appends the convolutions of module `number`, a double convolution or a residual block, with their
    /// inputs.
    fn append(&mut self, number: usize, mut convs: Vec<Conv>) {
        let (first, level) = (self.convs.len(), convs[0].level);
        // What a module leaves for others: a block its sum, a double convolution its second activation.
        let output = |module: usize| if self.config.res_blocks { module } else { 2 * module + 1 };
        let input = match number {
            0 => Input::Field,
            _ if number < self.config.levels() => Input::Pool(output(number - 1)),
            // On the way up; the skip connection is the module of the same level on the way down.
            _ => Input::SkipUp { skip: output(level), low: output(number - 1) },
        };
        convs[0].input = input;
        convs[1].input = Input::Activation(first);
        let nodes = (first..first + convs.len()).map(Node::Conv);
        if self.config.res_blocks {
            // The first convolution reads the block's input, and so does the third, if there is one.
            convs.iter_mut().step_by(2).for_each(|conv| conv.input = Input::Block(number));
            let (c_in, c_out) = (convs[0].c_in, convs[0].c_out);
            let sample = (convs.len() == 3).then_some(first + 2);
            self.blocks.push(ResBlock { input, level, c_in, c_out, first, sample });
            self.nodes.push(Node::BlockInput(number));
            self.nodes.extend(nodes);
            self.nodes.push(Node::BlockSum(number));
        } else {
            self.nodes.extend(nodes);
        }
        self.convs.extend(convs);
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
    fn inputs_follow_the_u() {
        let net = UNet::new(&UNetConfig { filters: vec![8, 16, 24], ..Default::default() });
        let inputs: Vec<Input> = net.convs.iter().map(|c| c.input).collect();
        use Input::*;
        assert_eq!(
            inputs,
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
        use Input::*;
        let blocks: Vec<_> =
            net.blocks.iter().map(|b| (b.input, b.level, b.c_in, b.c_out, b.first, b.sample)).collect();
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
        let inputs: Vec<_> = net.convs[..5].iter().map(|c| c.input).collect();
        assert_eq!(inputs, [Block(0), Activation(0), Block(0), Block(1), Activation(3)]);
        let nodes = [Node::BlockInput(0), Node::Conv(0), Node::Conv(1), Node::Conv(2), Node::BlockSum(0)];
        assert_eq!(net.nodes[..5], nodes);
        assert_eq!(net.nodes[5..7], [Node::BlockInput(1), Node::Conv(3)]);
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
