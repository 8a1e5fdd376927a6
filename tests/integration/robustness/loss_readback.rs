//! The way of the losses from the GPU to the host: whatever the rhythm of the readbacks, every step arrives
//! once, in order, with the same numbers.

use std::sync::Arc;
use unheat::blocking::{adapters, block_on};
use unheat::engine::device::NO_ADAPTER;
use unheat::gpu::{Checks, Gpu, Step};
use unheat::model::rectangles::draw_batch;
use unheat::model::rng::Purpose;
use unheat::model::unet::init::State;
use unheat::model::{Batch, Losses, Method, Operator, StepSpec, UNet, UNetConfig};

/// More than two full rings, and a rest.
const STEPS: u64 = 40;

fn run(gpu: &Arc<Gpu>, mut after_step: impl FnMut(u64, &mut Step) -> Vec<Losses>) -> (Vec<Losses>, Vec<f32>) {
    let net = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() });
    let heat = Operator::heat(8, 8, 1.0).unwrap();
    let start = State::new(&net, 0);
    let mut step = Step::new(gpu, &StepSpec::new(&net, &heat, Method::Sip, 2), &start).unwrap();
    let mut losses = Vec::new();
    for t in 0..STEPS {
        gpu.block_on(step.submit(&Batch::rectangles(draw_batch(Purpose::Cases, 0, t, 2, 8, 8)))).unwrap();
        losses.extend(after_step(t, &mut step));
    }
    step.request_losses().unwrap();
    losses.extend(gpu.block_on(step.losses(true)).unwrap());
    (losses, gpu.block_on(step.weights()).unwrap().0)
}

#[test]
fn the_rhythm_of_readbacks_changes_nothing() {
    let adapters = adapters();
    assert!(!adapters.is_empty(), "{NO_ADAPTER}");
    for adapter in adapters {
        let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::default())).unwrap());
        let each = run(&gpu, |_, step| {
            step.request_losses().unwrap();
            gpu.block_on(step.losses(true)).unwrap()
        });
        assert_eq!(each.0.len(), STEPS as usize);
        assert!(each.0.iter().all(|losses| losses.is_finite() && losses.x_l2.len() == 2));
        let never = run(&gpu, |_, _| Vec::new());
        assert_eq!(never, each, "a full ring is fetched by itself");
        let odd = run(&gpu, |t, step| {
            if t % 3 == 0 {
                step.request_losses().unwrap();
            }
            gpu.block_on(step.losses(false)).unwrap()
        });
        assert_eq!(odd, each);
    }
}
