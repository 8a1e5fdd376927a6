//! The engine of a process among several.

use crate::Result;
use crate::engine::cpu_engine;
use crate::engine::ranks::group::Group;
use crate::engine::ranks::message::Message;
use crate::engine::training::{Engine, Sharing};
use crate::model::{Batch, Losses, Snapshot, StepSpec};
use std::borrow::Cow;
use std::rc::Rc;

/// How a step is dealt out.
struct Deal {
    micro_batches: usize,
    cells: usize,
    samples: usize,
}

impl Deal {
    fn of(spec: &StepSpec) -> Self {
        let (micro_batches, samples) = (spec.micro_batches, spec.samples_at_once);
        Self { micro_batches, cells: spec.operator.cells(), samples }
    }

    /// Runs a step. Micro-batch i is computed by process i modulo their number; everybody adds up all of them
    /// in their order.
    fn step(&self, engine: &mut dyn Sharing, group: &dyn Group, batch: &Batch) -> Losses {
        let mut losses = Losses::default();
        let parts = batch.parts(self.micro_batches, self.cells);
        for round in parts.chunks(group.size()) {
            let first = losses.loss.is_empty();
            let own = round.get(group.rank()).map(|part| engine.compute(part));
            let all = group.all_gather(&self.pack(engine, own));
            let each = all.chunks_exact(all.len() / group.size());
            for (i, bytes) in each.take(round.len()).enumerate() {
                let (gradients, statistics, part) = self.unpack(engine, bytes);
                engine.accumulate(first && i == 0, &gradients, &statistics);
                losses.append(part);
            }
        }
        engine.update(losses)
    }

    /// Gradients, statistics and losses of the last micro-batch, or as many bytes where there was none.
    fn pack(&self, engine: &dyn Sharing, losses: Option<Losses>) -> Vec<u8> {
        let (gradients, statistics) = engine.last_part();
        let none = || vec![0.0; self.samples];
        let losses =
            losses.unwrap_or_else(|| Losses { loss: none(), x_l2: none(), y_l2: none(), frozen: false });
        let mut bytes = bytemuck::cast_slice(gradients).to_vec();
        bytes.extend_from_slice(bytemuck::cast_slice(statistics));
        for values in [&losses.loss, &losses.x_l2, &losses.y_l2] {
            bytes.extend_from_slice(bytemuck::cast_slice(values));
        }
        bytes
    }

    fn unpack(&self, engine: &dyn Sharing, bytes: &[u8]) -> (Vec<f32>, Vec<f32>, Losses) {
        let (gradients, statistics) = engine.last_part();
        let (own, rest) = bytes.split_at(size_of_val(gradients));
        let (seen, rest) = rest.split_at(size_of_val(statistics));
        let values: Vec<f64> = bytemuck::pod_collect_to_vec(rest);
        let column = |i: usize| values[i * self.samples..][..self.samples].to_vec();
        let losses = Losses { loss: column(0), x_l2: column(1), y_l2: column(2), frozen: false };
        (bytemuck::pod_collect_to_vec(own), bytemuck::pod_collect_to_vec(seen), losses)
    }
}

/// The engine of the first process, which tells the others what to do.
pub(crate) struct DataParallel {
    engine: Box<dyn Sharing>,
    group: Rc<dyn Group>,
    deal: Deal,
    finished: Vec<Losses>,
}

impl DataParallel {
    /// Shares the steps of `engine` with the others of the group, which have made theirs.
    pub(crate) fn new(engine: Box<dyn Sharing>, group: Rc<dyn Group>, spec: &StepSpec) -> Self {
        Self { engine, group, deal: Deal::of(spec), finished: Vec::new() }
    }

    fn tell(&self, message: &Message) {
        self.group.broadcast(message.to_bytes());
    }
}

impl Engine for DataParallel {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.tell(&Message::Step(Cow::Borrowed(batch)));
        let losses = self.deal.step(&mut *self.engine, &*self.group, batch);
        self.finished.push(losses);
        Ok(())
    }

    fn losses(&mut self, _: bool) -> Result<Vec<Losses>> {
        Ok(std::mem::take(&mut self.finished))
    }

    fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.engine.weights()
    }

    fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.engine.last_good_weights()
    }

    fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        self.engine.snapshot(batches_tracked)
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.tell(&Message::Restore(Box::new(snapshot.clone())));
        self.engine.restore(snapshot);
    }

    fn gradients(&self) -> Result<Vec<f32>> {
        self.engine.gradients()
    }

    fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.tell(&Message::Predict(Cow::Borrowed(batch))); // the running statistics see it
        self.engine.predict(batch)
    }
}

/// Does what the first process says, until it ends. `spec` says what to make an
/// engine for, from the settings of what begins and the noise of its objective.
///
/// # Errors
/// Those of making an engine.
pub fn serve(group: &dyn Group, spec: impl Fn(&str, f64) -> Result<StepSpec>) -> Result<()> {
    let mut working: Option<(Box<dyn Sharing>, Deal)> = None;
    loop {
        let message = Message::of_bytes(&group.broadcast(Vec::new()));
        match (message, &mut working) {
            (Message::End, _) => return Ok(()),
            (Message::Begin { settings, noise, start }, working) => {
                let spec = spec(&settings, noise)?;
                *working = Some((cpu_engine::sharing(&spec, &start), Deal::of(&spec)));
            }
            (Message::Step(batch), Some((engine, deal))) => drop(deal.step(&mut **engine, group, &batch)),
            (Message::Predict(batch), Some((engine, _))) => drop(engine.predict(&batch)?),
            (Message::Restore(snapshot), Some((engine, _))) => engine.restore(&snapshot),
            (_, None) => {} // nothing has begun
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::model::unet::init::State;
    use crate::model::{DType, Method, UNetConfig};
    use crate::train::config::size::Size;
    use crate::train::data::drawn::Drawn;
    use crate::train::plan::spec_of;
    use crate::train::{OnNan, TrainConfig};
    use std::sync::{Arc, Barrier, Mutex};

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

        fn all_gather(&self, own: &[u8]) -> Vec<u8> {
            self.exchange(own.to_vec()).concat()
        }
    }

    const STEPS: u64 = 4;

    fn config(method: Method, noise: f64, physics: DType) -> TrainConfig {
        let net = UNetConfig { filters: vec![8], ..UNetConfig::default() };
        TrainConfig {
            method,
            noise,
            physics,
            batch: 12,
            micro_batch: Some(3),
            size: Size { nx: 16, ny: 16 },
            levels: 2,
            net,
            on_nan: OnNan::Skip,
            ..TrainConfig::default()
        }
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

    /// What `count` processes end in, and the losses of their steps.
    fn trained(config: &TrainConfig, count: usize) -> (Vec<u32>, Vec<Losses>) {
        let spec = config.spec().unwrap();
        let start = State::new(&spec.net, 0);
        let barrier = Arc::new(Barrier::new(count));
        let slots = Arc::new(Mutex::new(vec![Vec::new(); count]));
        let group = |rank| Threads { rank, barrier: barrier.clone(), slots: slots.clone() };
        let workers: Vec<_> = (1..count)
            .map(|rank| {
                let group = group(rank);
                std::thread::spawn(move || serve(&group, spec_of).unwrap())
            })
            .collect();
        let first: Rc<dyn Group> = Rc::new(group(0));
        let settings = toml::to_string(config).unwrap();
        let noise = spec.objective.noise;
        first.broadcast(Message::Begin { settings, noise, start: start.clone() }.to_bytes());
        let engine = cpu_engine::sharing(&spec, &start);
        let mut engine = DataParallel::new(engine, first.clone(), &spec);
        let batches = batches(config, &spec);
        for (i, batch) in batches.iter().enumerate() {
            if i == 1 {
                // As a run that goes on, and draws its pictures in between.
                let snapshot = engine.snapshot(0).unwrap();
                engine.restore(&snapshot);
                engine.predict(&batches[0]).unwrap();
            }
            engine.submit(batch).unwrap();
        }
        let losses = engine.losses(true).unwrap();
        first.broadcast(Message::End.to_bytes());
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        (bits(&engine.snapshot(0).unwrap()), losses)
    }

    /// The step of one process alone, as it is without any group.
    fn alone(config: &TrainConfig) -> (Vec<u32>, Vec<Losses>) {
        let spec = config.spec().unwrap();
        let start = State::new(&spec.net, 0);
        let batches = batches(config, &spec);
        fn run<P: cpu::Real>(mut step: cpu::Step<f32, P>, batches: &[Batch]) -> (Vec<u32>, Vec<Losses>) {
            let run = |(i, batch): (usize, &Batch)| {
                if i == 1 {
                    step.predict(&batches[0]);
                }
                step.run(batch)
            };
            let losses = batches.iter().enumerate().map(run).collect();
            (bits(&step.snapshot(0)), losses)
        }
        match config.physics {
            DType::F64 => run(cpu::Step::<f32, f64>::new(&spec, &start), &batches),
            _ => run(cpu::Step::<f32, f32>::new(&spec, &start), &batches),
        }
    }

    #[test]
    fn any_number_of_processes_ends_in_the_same_bytes() {
        for (method, noise, physics) in [
            (Method::Sip, 0.0, DType::F32),
            (Method::Gd, 1e-2, DType::F32),
            (Method::Supervised, 0.0, DType::F32),
            (Method::Sip, 1e-2, DType::F64),
        ] {
            let config = config(method, noise, physics);
            let (expected, losses) = alone(&config);
            assert!(!losses[2].is_finite() && losses[3].is_finite(), "{method}: one step is skipped");
            for count in 1..=5 {
                let (found, of_steps) = trained(&config, count);
                assert_eq!(found, expected, "{method}, {physics}: {count} processes");
                let all = |losses: &[Losses]| -> Vec<u64> {
                    let values = losses.iter().flat_map(|l| l.loss.iter().chain(&l.x_l2).chain(&l.y_l2));
                    values.map(|value| value.to_bits()).collect()
                };
                assert_eq!(all(&of_steps), all(&losses));
            }
        }
        // Bytes that are the same whatever happens would prove nothing.
        let other = TrainConfig { micro_batch: Some(4), ..config(Method::Sip, 0.0, DType::F32) };
        assert_ne!(alone(&other).0, alone(&config(Method::Sip, 0.0, DType::F32)).0);
    }
}
