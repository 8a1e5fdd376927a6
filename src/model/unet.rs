//! The U-Net as a list of layers and a table of parameters: what to compute and where its numbers lie (SPEC 5, 8).

use super::Activation;
use crate::{Error, Result};
use std::fmt;

/// ε of batch normalisation.
pub const NORM_EPSILON: f64 = 1e-5;

/// The largest batch: one workgroup per sample must fit into one axis of a dispatch.
pub const MAX_BATCH: usize = 65535;

/// Weight of the newest batch in the running statistics.
pub const NORM_MOMENTUM: f64 = 0.1;

/// What a 3×3 convolution reads beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// The opposite side, as on a torus: PhiFlow 2's network.
    #[default]
    Circular,
    /// Zeros: PhiFlow 3's network.
    Zero,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Circular => "circular",
            Self::Zero => "zero",
        })
    }
}

/// The architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UNetConfig {
    /// Channels per level from the finest to the coarsest: 1 to 6 entries, each a positive multiple of 8.
    pub filters: Vec<usize>,
    /// Padding of every 3×3 convolution.
    pub padding: Padding,
    /// The first activation of every double convolution; the second is ReLU whatever this is, as in the reference.
    pub activation: Activation,
    /// Whether batch norms follow the 3×3 convolutions; else it is their biases that count.
    pub batch_norm: bool,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            filters: vec![16; 4],
            padding: Padding::Circular,
            activation: Activation::Relu,
            batch_norm: true,
        }
    }
}

impl fmt::Display for UNetConfig {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} {}", self.filters, self.padding)?;
        if self.activation != Activation::Relu {
            write!(f, " {}", self.activation)?;
        }
        f.write_str(if self.batch_norm { "" } else { " without batch norm" })
    }
}

impl UNetConfig {
    /// A network of `levels` levels; `filters` holds one number for all levels or one for each. What is not said is as
    /// in the default.
    pub fn new(levels: usize, filters: &[usize], padding: Padding) -> Result<Self> {
        if !(1..=6).contains(&levels) {
            return Err(Error::usage(format!("levels {levels}: must be from 1 to 6")));
        }
        if let Some(bad) = filters.iter().find(|&&f| f == 0 || f % 8 != 0 || f > 1024) {
            return Err(Error::usage(format!("filters {bad}: must be a multiple of 8 from 8 to 1024")));
        }
        let of = |filters| Self { filters, padding, ..Self::default() };
        match filters {
            [one] => Ok(of(vec![*one; levels])),
            list if list.len() == levels => Ok(of(list.to_vec())),
            list => Err(Error::usage(format!(
                "filters: {} numbers for {levels} levels; give one number, or one for each level",
                list.len()
            ))),
        }
    }

    /// Number of levels, from 1 to 6.
    pub fn levels(&self) -> usize {
        self.filters.len()
    }

    /// Checks that `batch` fields of `nx` × `ny` cells can pass: sides divisible by 2^(levels-1), and more than
    /// one value per channel at the bottom, since batch normalisation of a single value has no variance.
    pub fn check_input(&self, batch: usize, nx: usize, ny: usize) -> Result<()> {
        let divisor = 1 << (self.levels() - 1);
        if !nx.is_multiple_of(divisor) || !ny.is_multiple_of(divisor) {
            return Err(Error::usage(format!(
                "size {nx}x{ny}: each side must be divisible by {divisor} for {} levels; use fewer levels or a larger size",
                self.levels()
            )));
        }
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(Error::usage(format!("batch {batch}: must be from 1 to {MAX_BATCH}")));
        }
        if self.batch_norm && batch * (nx / divisor) * (ny / divisor) == 1 {
            return Err(Error::usage(format!(
                "batch 1 with a 1x1 coarsest level ({nx}x{ny}, {} levels): batch normalisation needs more than one value; use a larger batch or fewer levels",
                self.levels()
            )));
        }
        Ok(())
    }
}

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
}

/// One 3×3 convolution with the batch norm, if there is one, and the activation that follow it. Offsets count floats in the flat buffers.
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
    /// What follows it, or its batch norm.
    pub activation: Activation,
    /// Offset of the weight `[c_out, c_in, 3, 3]` in the parameters.
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
    /// Parameters whose gradient is exactly zero in exact arithmetic (SPEC 5).
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
    /// The 3×3 convolutions in the order of execution.
    pub convs: Vec<Conv>,
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
        let (activation, batch_norm) = (config.activation, config.batch_norm);
        let mut table = Table { activation, batch_norm, ..Table::default() };
        let mut inc = Vec::new();
        let (mut downs, mut ups) = (Vec::new(), Vec::new());
        table.double_conv(&mut inc, "inc", 0, [1, f[0], f[0]]);
        for i in 1..levels {
            table.double_conv(&mut downs, &format!("down{i}.conv"), i, [f[i - 1], f[i], f[i]]);
            // up1 is the deepest one.
            let (low, skip) = (f[levels - i], f[levels - i - 1]);
            let name = format!("up{i}.conv");
            table.double_conv(&mut ups, &name, levels - 1 - i, [low + skip, (low + skip) / 2, skip]);
        }
        let bound = 1.0 / (f[0] as f64).sqrt();
        let out_weight = table.param("outc.weight", &[1, f[0], 1, 1], false, bound);
        let out_bias = table.param("outc.bias", &[1], true, bound);

        // Execution order: down to the bottom, then up again.
        let mut convs: Vec<Conv> = inc.into_iter().chain(downs).chain(ups).collect();
        for i in 0..convs.len() {
            let (block, second) = (i / 2, i % 2 == 1);
            convs[i].source = match block {
                _ if second => Source::Activation(i - 1),
                0 => Source::Field,
                _ if block < levels => Source::Pool(i - 1),
                // Block `levels` is up1, whose skip is the encoder block at the same level.
                _ => Source::SkipUp { skip: 2 * convs[i].level + 1, low: i - 1 },
            };
        }
        Self {
            config: config.clone(),
            convs,
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
        let convs: u64 = self.convs.iter().map(|c| 9 * (c.c_in * c.c_out) as u64 * cells(c.level)).sum();
        convs + self.out_channels as u64 * cells(0)
    }
}

#[derive(Default)]
struct Table {
    activation: Activation,
    batch_norm: bool,
    entries: Vec<Entry>,
    params: usize,
    buffers: usize,
}

impl Table {
    fn param(&mut self, name: &str, shape: &[usize], dead: bool, bound: f64) -> usize {
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

    /// Conv(c[0] → c[1]) → BN → activation → Conv(c[1] → c[2]) → BN → ReLU, perhaps without the BN.
    fn double_conv(&mut self, convs: &mut Vec<Conv>, module: &str, level: usize, c: [usize; 3]) {
        for (place, c_in, c_out, activation) in
            [(0, c[0], c[1], self.activation), (3, c[1], c[2], Activation::Relu)]
        {
            let name = format!("{module}.double_conv.{place}");
            let norm = format!("{module}.double_conv.{}", place + 1);
            let bound = 1.0 / ((9 * c_in) as f64).sqrt();
            let weight = self.param(&format!("{name}.weight"), &[c_out, c_in, 3, 3], false, bound);
            let bias = self.param(&format!("{name}.bias"), &[c_out], self.batch_norm, bound);
            let norm = self.batch_norm.then(|| self.batch_norm(&norm, c_out));
            let source = Source::Field; // set once all layers are known
            convs.push(Conv { name, level, source, c_in, c_out, activation, weight, bias, norm });
        }
    }

    fn batch_norm(&mut self, name: &str, channels: usize) -> BatchNorm {
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
        norm
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
    fn a_single_level_is_a_plain_stack() {
        let net = UNet::new(&UNetConfig::new(1, &[8], Padding::Circular).unwrap());
        assert_eq!(net.convs.len(), 2);
        assert_eq!(net.entries.last().unwrap().name, "outc.bias");
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert!(UNetConfig::new(0, &[16], Padding::Circular).is_err());
        assert!(UNetConfig::new(7, &[16], Padding::Circular).is_err());
        assert!(UNetConfig::new(4, &[12], Padding::Circular).is_err());
        assert!(UNetConfig::new(4, &[16, 16], Padding::Circular).is_err());
        let net = UNetConfig::default();
        assert!(net.check_input(1, 64, 64).is_ok());
        assert!(net.check_input(1, 8, 8).is_err());
        assert!(net.check_input(2, 8, 8).is_ok());
        assert!(net.check_input(0, 64, 64).is_err());
        assert!(UNetConfig::new(5, &[16], Padding::Circular).unwrap().check_input(4, 8, 8).is_err());
    }
}
