//! The engine of a process among several.

use crate::Result;
use crate::engine::cpu_engine;
use crate::engine::ranks::{Group, Message};
use crate::engine::training::{Engine, Sharing};
use crate::model::{Batch, Losses, Snapshot, StepSpec};
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
        for values in [&losses.loss, &losses.x_l2, &losses.y_l2, &vec![f64::from(u8::from(losses.frozen))]] {
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
        let frozen = values[3 * self.samples] != 0.0;
        let losses = Losses { loss: column(0), x_l2: column(1), y_l2: column(2), frozen };
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
        self.tell(&Message::Step(batch.clone()));
        let losses = self.deal.step(&mut *self.engine, &*self.group, batch);
        self.finished.push(losses);
        Ok(())
    }

    fn make_room(&mut self) -> Result<()> {
        Ok(())
    }

    fn request_losses(&mut self) -> Result<()> {
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
        self.tell(&Message::Predict(batch.clone())); // the running statistics see it
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
