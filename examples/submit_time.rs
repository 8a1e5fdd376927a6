//! What a training step costs the host: the time to upload, encode and submit it, at the default setting or that of a batch.
//!
//! `cargo run --release --example submit_time [BATCH]`
//!
//! First on wgpu's stub device, which computes nothing: all that wgpu does. Then the commands are encoded, and never
//! submitted, for the first adapter: wgpu and the driver. On a GPU `unheat bench` tells all of it; a software adapter
//! computes in the thread that submits.

use std::sync::Arc;
use std::time::Instant;
use unheat::blocking::{adapters, block_on};
use unheat::gpu::{Checks, Gpu};
use unheat::train::{Device, TrainConfig, Trainer};
use unheat::{Error, Result};

const ROUNDS: usize = 300;

fn main() -> Result<()> {
    let config = match std::env::args().nth(1).map(|batch| batch.parse()) {
        None => TrainConfig::default(),
        Some(Ok(batch)) => TrainConfig { batch, ..TrainConfig::default() },
        Some(Err(_)) => {
            return Err(Error::Usage("say how many samples a step has: submit_time 128".to_owned()));
        }
    };
    let optional = wgpu::Features::SHADER_F64 | wgpu::Features::SUBGROUP;

    let (device, queue) =
        wgpu::Device::noop(&wgpu::DeviceDescriptor { required_features: optional, ..Default::default() });
    let info = wgpu::AdapterInfo { device_type: wgpu::DeviceType::DiscreteGpu, ..device.adapter_info() };
    let gpu = Arc::new(Gpu::from_device(device, queue, info, Checks::Trusted));
    let mut plan = config.plan()?;
    let mut trainer = Trainer::new(&Device::Gpu(gpu), &plan, &config)?;
    let batch = plan.data.batch(0);
    report("stub device, upload, encode and submit", || {
        trainer.make_room()?;
        let start = Instant::now();
        trainer.submit(&batch)?;
        let time = start.elapsed();
        trainer.losses(false)?;
        Ok(time.as_secs_f64())
    })?;

    let Some(adapter) = adapters().into_iter().next() else { return Ok(()) };
    let descriptor = wgpu::DeviceDescriptor {
        required_features: optional & adapter.features(),
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let opened = block_on(adapter.request_device(&descriptor));
    let (device, queue) = opened.map_err(|error| Error::Device(error.to_string()))?;
    let gpu = Gpu::from_device(device.clone(), queue, adapter.get_info(), Checks::Trusted);
    let trainer = Trainer::new(&Device::Gpu(Arc::new(gpu)), &plan, &config)?;
    let step = trainer.gpu_step().expect("the engine of a GPU has a step on it");
    report(&format!("{}, encode {} dispatches", adapter.get_info().name, step.dispatches()), || {
        let start = Instant::now();
        let mut encoder = device.create_command_encoder(&Default::default());
        step.recordings().iter().for_each(|(_, recording)| recording.encode(&mut encoder));
        drop(encoder.finish());
        Ok(start.elapsed().as_secs_f64())
    })
}

/// Prints the least and the median of many rounds' seconds.
fn report(what: &str, mut round: impl FnMut() -> Result<f64>) -> Result<()> {
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    println!("{what}: {:.3} ms at least, median {:.3}", 1e3 * times[0], 1e3 * times[ROUNDS / 2]);
    Ok(())
}
