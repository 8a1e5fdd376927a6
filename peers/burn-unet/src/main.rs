//! unheat's network in Burn, without the physics: forward, backward and Adam on random fields, timed by step.
//!
//! `burnpeer wgpu|vulkan|flex BATCH STEPS`. Convolutions are zero-padded, as Burn has no circular padding.

use burn::nn::conv::*;
use burn::nn::interpolate::*;
use burn::nn::pool::*;
use burn::nn::*;
use burn::optim::*;
use burn::prelude::*;
use burn::tensor::Distribution;
use std::time::Instant;

const SIDE: usize = 64;
const WIDTH: usize = 16;

#[derive(Module, Debug)]
struct DoubleConv {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    relu: Relu,
}

impl DoubleConv {
    fn new(c_in: usize, c_mid: usize, c_out: usize, device: &Device) -> Self {
        let conv = |c_in, c_out| {
            Conv2dConfig::new([c_in, c_out], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: conv(c_in, c_mid),
            norm1: BatchNormConfig::new(c_mid).init(device),
            conv2: conv(c_mid, c_out),
            norm2: BatchNormConfig::new(c_out).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.relu.forward(self.norm1.forward(self.conv1.forward(x)));
        self.relu.forward(self.norm2.forward(self.conv2.forward(x)))
    }
}

#[derive(Module, Debug)]
struct UNet {
    inc: DoubleConv,
    downs: Vec<DoubleConv>,
    ups: Vec<DoubleConv>,
    outc: Conv2d,
    pool: MaxPool2d,
    upsample: Interpolate2d,
}

impl UNet {
    fn new(device: &Device) -> Self {
        Self {
            inc: DoubleConv::new(1, WIDTH, WIDTH, device),
            downs: (0..3).map(|_| DoubleConv::new(WIDTH, WIDTH, WIDTH, device)).collect(),
            ups: (0..3).map(|_| DoubleConv::new(2 * WIDTH, WIDTH, WIDTH, device)).collect(),
            outc: Conv2dConfig::new([WIDTH, 1], [1, 1]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            upsample: Interpolate2dConfig::new()
                .with_scale_factor(Some([2.0, 2.0]))
                .with_mode(InterpolateMode::Linear)
                .init(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut levels = vec![self.inc.forward(x)];
        for down in &self.downs {
            let pooled = self.pool.forward(levels.last().unwrap().clone());
            levels.push(down.forward(pooled));
        }
        let mut x = levels.pop().unwrap();
        for up in &self.ups {
            let skip = levels.pop().unwrap();
            let upsampled = self.upsample.forward(x);
            x = up.forward(Tensor::cat(vec![skip, upsampled], 1));
        }
        self.outc.forward(x)
    }
}

fn main() {
    env_logger::init();
    let arguments: Vec<String> = std::env::args().collect();
    let number = |i: usize, default| arguments.get(i).map(|text| text.parse().unwrap()).unwrap_or(default);
    let (batch, steps): (usize, usize) = (number(2, 16), number(3, 6));
    let device = match arguments.get(1).map(|name| name.as_str()).unwrap_or("wgpu") {
        "flex" => Device::flex(),
        "vulkan" => Device::vulkan(Default::default()),
        _ => Device::wgpu(Default::default()),
    }
    .autodiff();
    let mut net = UNet::new(&device);
    let mut optimiser = AdamConfig::new().init();
    let random = || Tensor::<4>::random([batch, 1, SIDE, SIDE], Distribution::Uniform(0., 1.), &device);
    for step in 0..steps {
        let start = Instant::now();
        let (x, target) = (random(), random());
        let prediction = net.forward(x);
        let loss = (prediction - target).powf_scalar(2.0).sum() * 0.5;
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimiser.step(1e-3, net, gradients);
        let loss = loss.into_data();
        let _ = device.sync();
        println!("step {step} {:?} ms {:.1}", loss.to_vec::<f32>(), start.elapsed().as_secs_f64() * 1e3);
    }
}
