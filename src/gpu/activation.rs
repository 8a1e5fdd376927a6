//! The activation functions on the GPU: WGSL files that define `activate` and `activate_backward`.

use crate::model::Activation;

/// The file of `function`.
pub fn file(function: Activation) -> &'static str {
    match function {
        Activation::Relu => include_str!("../../shaders/activation/relu.wgsl"),
        Activation::Silu => include_str!("../../shaders/activation/silu.wgsl"),
        Activation::Tanh => include_str!("../../shaders/activation/tanh.wgsl"),
        Activation::Sigmoid => include_str!("../../shaders/activation/sigmoid.wgsl"),
    }
}
