//! The engine of a process among several.

use crate::engine::device::Device;
use crate::engine::ranks::group::Group;
use crate::engine::ranks::message::Message;
use crate::engine::ranks::worker::{Failure, Worker, agree};
use crate::engine::training::Engine;
use crate::gpu;
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Snapshot, StepSpec};
use crate::{Error, Result};
use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

/// The engine of the first process, which tells the others what to do.
pub(crate) struct DataParallel {
    worker: Worker,
    group: Rc<dyn Group>,
}

impl DataParallel {
    /// Shares the steps with the others of the group, which make their engines by `settings`.
    ///
    /// # Errors
    /// Those of [`Trainer::new`](crate::engine::Trainer::new), here or in another process.
    pub(crate) fn new(
        device: &Device,
        spec: &StepSpec,
        start: &State,
        settings: &str,
        group: Rc<dyn Group>,
    ) -> Result<Self> {
        let own = Worker::new(device, spec, start, group.size())?;
        let (settings, on_gpu) = (settings.to_owned(), matches!(device, Device::Gpu(_)));
        let begin = Message::Begin { settings, on_gpu, noise: spec.objective.noise, start: start.clone() };
        group.broadcast(begin.to_bytes());
        let worker = agree(&*group, Ok(own)).map_err(Failure::error)?;
        Ok(Self { worker, group })
    }

    fn tell(&self, message: &Message) {
        self.group.broadcast(message.to_bytes());
    }
}

impl Engine for DataParallel {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.tell(&Message::Step(Cow::Borrowed(batch)));
        self.worker.step(&*self.group, batch).map_err(Failure::error)
    }

    fn make_room(&mut self) -> Result<()> {
        self.worker.engine.make_room()
    }

    fn request_losses(&mut self) -> Result<()> {
        self.worker.engine.request_losses()
    }

    fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        self.worker.engine.losses(all)
    }

    fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.worker.engine.weights()
    }

    fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.worker.engine.last_good_weights()
    }

    fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        self.tell(&Message::Compare); // before it is kept
        self.worker.compare(&*self.group).map_err(Failure::error)?;
        self.worker.engine.snapshot(batches_tracked)
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.tell(&Message::Restore(Box::new(snapshot.clone())));
        self.worker.engine.restore(snapshot);
    }

    fn gradients(&self) -> Result<Vec<f32>> {
        self.worker.engine.gradients()
    }

    fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.tell(&Message::Predict(Cow::Borrowed(batch))); // the running statistics see it
        self.worker.predict(&*self.group, batch).map_err(Failure::error)
    }

    fn too_long(&mut self) -> Option<(String, Duration)> {
        self.worker.engine.too_long()
    }

    fn gpu_step(&self) -> Option<&gpu::Step> {
        self.worker.engine.gpu_step()
    }
}

/// Does what the first process says, until it ends. `prepare` says on which device and for what to make an
/// engine, from the settings of what begins, the noise of its objective, and whether it is for a GPU;
/// `complain` hears why this process cannot do what it was told, which the others then know.
pub fn serve(
    group: &dyn Group,
    prepare: impl Fn(&str, f64, bool) -> Result<(Device, StepSpec)>,
    complain: impl Fn(&Error),
) {
    let mut working: Option<Worker> = None;
    loop {
        let message = Message::of_bytes(&group.broadcast(Vec::new()));
        let done = match (message, &mut working) {
            (Message::End, working) => {
                let failure = working.as_mut().and_then(|worker| worker.failure.take());
                return failure.iter().for_each(complain);
            }
            (Message::Begin { settings, on_gpu, noise, start }, working) => {
                *working = None; // before its memory is needed
                let own = prepare(&settings, noise, on_gpu)
                    .and_then(|(device, spec)| Worker::new(&device, &spec, &start, group.size()));
                agree(group, own).map(|worker| *working = Some(worker))
            }
            (Message::Step(batch), Some(worker)) => worker.step(group, &batch).map(|()| {
                let losses = worker.engine.losses(false); // which the first process has, too
                worker.failure = worker.failure.take().or(losses.err());
            }),
            (Message::Compare, Some(worker)) => {
                let compared = worker.compare(group);
                worker.failure = None; // it has been said
                compared
            }
            (Message::Predict(batch), Some(worker)) => match (worker.predict(group, &batch), worker.together)
            {
                // The others know nothing of it yet.
                (Err(Failure::Own(error)), None) => {
                    worker.failure = worker.failure.take().or(Some(error));
                    Ok(())
                }
                (predicted, _) => predicted.map(drop),
            },
            (Message::Restore(snapshot), Some(worker)) => {
                worker.engine.restore(&snapshot);
                Ok(())
            }
            (_, None) => Ok(()), // nothing has begun
        };
        if let Err(Failure::Own(error)) = done {
            complain(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::{adapters, block_on};
    use crate::cases::relative_error;
    use crate::engine::Trainer;
    use crate::engine::device::NO_ADAPTER;
    use crate::gpu::{Checks, Gpu};
    use crate::model::{DType, Method, Padding, UNetConfig};
    use crate::train::config::size::Size;
    use crate::train::data::drawn::Drawn;
    use crate::train::plan::parts_of;
    use crate::train::{OnNan, TrainConfig};
    use std::cell::RefCell;
    use std::sync::{Arc, Barrier, Mutex};
    use std::thread::JoinHandle;

    /// Threads in the place of processes.
    struct Threads {
        rank: usize,
        barrier: Arc<Barrier>,
        slots: Arc<Mutex<Vec<Vec<u8>>>>,
    }

    impl Threads {
        /// Everybody's bytes.
        fn exchange(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
            self.slots.lock().unwrap()[self.rank] = own;
            self.barrier.wait();
            let all = self.slots.lock().unwrap().clone();
            self.barrier.wait();
            all
        }
    }

    impl Group for Threads {
        fn rank(&self) -> usize {
            self.rank
        }

        fn size(&self) -> usize {
            self.slots.lock().unwrap().len()
        }

        fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
            self.exchange(bytes).swap_remove(0)
        }

        fn all_gather(&self, own: &[u8], meanwhile: &mut dyn FnMut()) -> Vec<u8> {
            let all = self.exchange(own.to_vec()).concat();
            meanwhile();
            all
        }
    }

    const STEPS: u64 = 4;

    fn config(method: Method, noise: f64) -> TrainConfig {
        let net = UNetConfig { filters: vec![8], ..UNetConfig::default() };
        TrainConfig {
            method,
            noise,
            tikhonov: (noise > 0.0).then_some(1e-2),
            batch: 12,
            micro_batch: Some(3),
            size: Size { nx: 16, ny: 16 },
            levels: 2,
            net,
            on_nan: OnNan::Skip,
            ..TrainConfig::default()
        }
    }

    fn together(config: TrainConfig) -> TrainConfig {
        TrainConfig { sync_batch_norm: true, ..config }
    }

    /// The batches of a training, of which one is beyond all numbers.
    fn batches(config: &TrainConfig, spec: &StepSpec) -> Vec<Batch> {
        let drawn = Drawn::new(config, &spec.operator);
        let mut batches: Vec<Batch> = (0..STEPS).map(|step| drawn.batch(step)).collect();
        batches[2] = Batch { noise: batches[2].noise.clone(), ..Batch::fields(vec![1e30; 12 * 256]) };
        batches
    }

    fn bits(snapshot: &Snapshot) -> Vec<u32> {
        let Snapshot { state, first_moments, second_moments, last_good_params, .. } = snapshot;
        let all = [&state.params, &state.buffers, first_moments, second_moments, last_good_params];
        all.into_iter().flatten().map(|value| value.to_bits()).collect()
    }

    /// Threads that share the training of the first one, which is here.
    struct Team {
        first: Rc<dyn Group>,
        others: Vec<JoinHandle<Vec<String>>>,
    }

    impl Team {
        /// `device` is that of process i.
        fn new(count: usize, device: impl Fn(usize) -> Device) -> Self {
            let barrier = Arc::new(Barrier::new(count));
            let slots = Arc::new(Mutex::new(vec![Vec::new(); count]));
            let group = |rank| Threads { rank, barrier: barrier.clone(), slots: slots.clone() };
            let work = |rank| {
                let (group, device) = (group(rank), device(rank));
                let prepare = move |settings: &str, noise: f64, on_gpu: bool| {
                    assert_eq!(on_gpu, matches!(device, Device::Gpu(_)));
                    Ok((device.clone(), parts_of(settings, noise)?.1))
                };
                std::thread::spawn(move || {
                    let said = RefCell::new(Vec::new());
                    serve(&group, prepare, |error| said.borrow_mut().push(error.to_string()));
                    said.into_inner()
                })
            };
            Self { others: (1..count).map(work).collect(), first: Rc::new(group(0)) }
        }

        /// What the others have complained of.
        fn end(self) -> Vec<Vec<String>> {
            self.first.broadcast(Message::End.to_bytes());
            self.others.into_iter().map(|other| other.join().unwrap()).collect()
        }
    }

    /// Where a training ends, and the losses of its steps.
    fn run(mut trainer: Trainer, config: &TrainConfig) -> (Vec<u32>, Vec<Losses>) {
        let batches = batches(config, &config.spec().unwrap());
        for (i, batch) in batches.iter().enumerate() {
            if i == 1 {
                // As a run that goes on, and draws its pictures in between.
                let snapshot = trainer.snapshot().unwrap();
                trainer.restore(&snapshot);
                trainer.predict(&batches[0]).unwrap();
            }
            trainer.submit(batch).unwrap();
        }
        let losses = trainer.losses(true).unwrap();
        (bits(&trainer.snapshot().unwrap()), losses)
    }

    /// What `count` processes end in.
    fn trained(config: &TrainConfig, device: &Device, count: usize) -> (Vec<u32>, Vec<Losses>) {
        let spec = config.spec().unwrap();
        let (start, settings) = (State::new(&spec.net, 0), toml::to_string(config).unwrap());
        let team = Team::new(count, |_| device.clone());
        let trainer = Trainer::shared(device, &spec, &start, &settings, &team.first).unwrap();
        let found = run(trainer, config);
        assert!(team.end().concat().is_empty());
        found
    }

    /// What one process ends in, as it is without any group.
    fn alone(config: &TrainConfig, device: &Device) -> (Vec<u32>, Vec<Losses>) {
        let spec = config.spec().unwrap();
        run(Trainer::new(device, &spec, &State::new(&spec.net, 0)).unwrap(), config)
    }

    fn gpu() -> Arc<Gpu> {
        let adapter = adapters().into_iter().next().expect(NO_ADAPTER);
        Arc::new(block_on(Gpu::open(&adapter, Checks::Checked)).unwrap())
    }

    fn all_bits(losses: &[Losses]) -> Vec<u64> {
        let values = losses.iter().flat_map(|l| l.loss.iter().chain(&l.x_l2).chain(&l.y_l2));
        values.map(|value| value.to_bits()).collect()
    }

    fn check(config: &TrainConfig, device: &Device, counts: impl Iterator<Item = usize>) {
        let (expected, losses) = alone(config, device);
        assert!(!losses[2].is_finite() && losses[3].is_finite(), "one step is skipped");
        for count in counts {
            let (found, of_steps) = trained(config, device, count);
            let differ = found.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
            let device = device.describe();
            assert_eq!(differ, 0, "{count} processes on {device}, of {}: {config:?}", found.len());
            assert_eq!(all_bits(&of_steps), all_bits(&losses));
        }
    }

    #[test]
    fn any_number_of_processes_ends_in_the_same_bytes() {
        let on_cpu = |config: &TrainConfig| check(config, &Device::Cpu, 1..=5);
        on_cpu(&config(Method::Sip, 0.0));
        on_cpu(&config(Method::Gd, 1e-2));
        on_cpu(&config(Method::Supervised, 0.0));
        on_cpu(&TrainConfig { physics: DType::F64, ..config(Method::Sip, 1e-2) });
        on_cpu(&together(config(Method::Sip, 0.0)));
        on_cpu(&together(config(Method::Gd, 1e-2)));
        // Bytes that are the same whatever happens would prove nothing.
        let other = TrainConfig { micro_batch: Some(4), ..config(Method::Sip, 0.0) };
        assert_ne!(alone(&other, &Device::Cpu).0, alone(&config(Method::Sip, 0.0), &Device::Cpu).0);
    }

    #[test]
    fn any_number_of_gpus_ends_in_the_same_bytes() {
        let gpu = gpu();
        let device = Device::Gpu(gpu.clone());
        check(&config(Method::Sip, 0.0), &device, 1..=4);
        check(&config(Method::Gd, 1e-2), &device, 2..=3);
        if gpu.stores_in(DType::F16) {
            let half = TrainConfig { activations: DType::F16, ..config(Method::Sip, 1e-2) };
            check(&half, &device, 1..=4);
            check(&together(half), &device, 2..=3);
        }
        check(&together(config(Method::Sip, 0.0)), &device, 1..=4);
        check(&together(config(Method::Gd, 1e-2)), &device, 2..=3);
    }

    /// Micro-batches that are normalised together are the whole batch.
    #[test]
    fn together_micro_batches_have_the_gradients_of_the_whole() {
        let usual = |config: TrainConfig| TrainConfig {
            net: UNetConfig::new(2, &[8, 16], Padding::Circular).unwrap(),
            ..config
        };
        let gradients = |config: &TrainConfig, device: &Device| {
            let spec = config.spec().unwrap();
            let mut trainer = Trainer::new(device, &spec, &State::new(&spec.net, 0)).unwrap();
            let batch = batches(config, &spec).remove(0);
            trainer.submit(&batch).unwrap();
            let losses = trainer.losses(true).unwrap().remove(0);
            let (gradients, state) = (trainer.gradients().unwrap(), trainer.state().unwrap());
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
            assert_eq!(
                state.batches_tracked,
                if config.sync_batch_norm || config.micro_batch.is_none() { 1 } else { 4 }
            );
            (wide(gradients), wide(state.buffers), losses.loss)
        };
        for device in [Device::Cpu, Device::Gpu(gpu())] {
            for config in [
                usual(config(Method::Sip, 0.0)),
                usual(config(Method::Gd, 1e-2)),
                TrainConfig {
                    net: UNetConfig { res_blocks: true, filters: vec![8], ..Default::default() },
                    ..config(Method::Sip, 0.0)
                },
            ] {
                let whole = gradients(&TrainConfig { micro_batch: None, ..config.clone() }, &device);
                let apart = gradients(&config, &device);
                let found = gradients(&together(config), &device);
                let error = |other: &(Vec<f64>, Vec<f64>, Vec<f64>)| {
                    [(&other.0, &whole.0), (&other.1, &whole.1), (&other.2, &whole.2)]
                        .map(|(found, expected)| relative_error(found, expected))
                };
                let (device, [gradients, statistics, losses]) = (device.describe(), error(&found));
                assert!(gradients <= 1e-5, "{device}: gradients {gradients}");
                assert!(statistics <= 1e-5 && losses <= 1e-5, "{device}: {statistics} {losses}");
                assert!(error(&apart)[0] > 1e-2, "each by itself is another network");
            }
        }
    }

    /// Whatever goes wrong in one process ends the training in all of them, and each knows why.
    #[test]
    fn nobody_waits_for_a_process_that_has_failed() {
        let config = config(Method::Sip, 0.0);
        let spec = config.spec().unwrap();
        let (start, settings) = (State::new(&spec.net, 0), toml::to_string(&config).unwrap());
        // It cannot make its engine: 16 bits are for GPUs.
        let half = toml::to_string(&TrainConfig { activations: DType::F16, ..config.clone() }).unwrap();
        let team = Team::new(3, |_| Device::Cpu);
        let error = Trainer::shared(&Device::Cpu, &spec, &start, &half, &team.first).err().unwrap();
        assert!(error.to_string().contains("process 1 has failed, and says why"), "{error}");
        let said = team.end();
        assert!(
            said.iter().all(|said| said.len() == 1 && said[0].contains("stores 32 bits only")),
            "{said:?}"
        );
        // A batch without its noise.
        let noisy = TrainConfig { noise: 1e-2, ..config.clone() };
        let batch = batches(&config, &spec).remove(0);
        let device = Device::Gpu(gpu());
        let team = Team::new(2, |_| device.clone());
        let (with_noise, said) = (noisy.spec().unwrap(), toml::to_string(&noisy).unwrap());
        let mut trainer = Trainer::shared(&device, &with_noise, &start, &said, &team.first).unwrap();
        let error = trainer.submit(&batch).unwrap_err();
        assert!(error.to_string().contains("noise: a batch has it"), "{error}");
        let said = team.end().concat();
        assert!(said.len() == 1 && said[0].contains("noise: a batch has it"), "{said:?}");
        // A GPU that is lost, sooner or later in a step.
        let synced = together(config.clone());
        for milliseconds in [0, 20, 60, 150] {
            let gpus = [gpu(), gpu()];
            let team = Team::new(2, |rank| Device::Gpu(gpus[rank].clone()));
            let (spec, settings) = (synced.spec().unwrap(), toml::to_string(&synced).unwrap());
            let first = Device::Gpu(gpus[0].clone());
            let mut trainer = Trainer::shared(&first, &spec, &start, &settings, &team.first).unwrap();
            let [_, lost] = gpus;
            let losing = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(milliseconds));
                lost.device.destroy();
            });
            let error = (0..1000).find_map(|_| trainer.submit(&batch).err()).unwrap();
            assert!(error.to_string().contains("process 1 has failed, and says why"), "{error}");
            losing.join().unwrap();
            assert_eq!(team.end().concat().len(), 1);
        }
        // Other weights than the first one's, as where a device rounds otherwise.
        let mut weights = start.clone();
        weights.params[0] += 1e-3;
        let team = Team::new(2, |_| Device::Cpu);
        let mut trainer = Trainer::shared(&Device::Cpu, &spec, &start, &settings, &team.first).unwrap();
        let mut other = Snapshot::before(weights);
        other.last_good_params = start.params.clone();
        team.first.broadcast(Message::Restore(Box::new(other)).to_bytes());
        trainer.submit(&batch).unwrap();
        let error = trainer.snapshot().unwrap_err();
        assert!(error.to_string().contains("process 1 has other weights than process 0"), "{error}");
        assert!(team.end().concat().is_empty(), "the first process says it");
    }
}
