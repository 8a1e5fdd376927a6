//! What the first process tells the others.

use crate::model::unet::init::State;
use crate::model::{Batch, Rectangle, Snapshot, Truth};
use std::borrow::Cow;

/// An order, or the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message<'a> {
    /// Make an engine.
    Begin {
        /// The run's settings, as its file has them.
        settings: String,
        /// Whether for a GPU, rather than the CPU.
        on_gpu: bool,
        /// The noise that the objective takes for granted.
        noise: f64,
        /// Weights to begin with.
        start: State,
    },
    /// Do your part of this step.
    Step(Cow<'a, Batch>),
    /// Send these through the network.
    Predict(Cow<'a, Batch>),
    /// Go on from here.
    Restore(Box<Snapshot>),
    /// Say what the weights are.
    Compare,
    /// There is nothing left to do.
    End,
}

impl Message<'_> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        match self {
            Self::End => out.number(0),
            Self::Compare => out.number(5),
            Self::Begin { settings, on_gpu, noise, start } => {
                out.number(1);
                out.bytes(settings.as_bytes());
                out.number((*on_gpu).into());
                out.values(&[*noise]);
                out.state(start);
            }
            Self::Step(batch) => {
                out.number(2);
                out.batch(batch);
            }
            Self::Predict(batch) => {
                out.number(3);
                out.batch(batch);
            }
            Self::Restore(snapshot) => {
                out.number(4);
                out.state(&snapshot.state);
                let Snapshot { first_moments, second_moments, last_good_params, updates, .. } = &**snapshot;
                [first_moments, second_moments, last_good_params].into_iter().for_each(|v| out.values(v));
                out.number(*updates);
            }
        }
        out.0
    }

    /// Reads what [`Message::to_bytes`] has written; whatever cannot be read is the end.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Message<'static> {
        Message::read(&mut Reader(bytes)).unwrap_or(Message::End)
    }

    fn read(from: &mut Reader) -> Option<Message<'static>> {
        Some(match from.number()? {
            1 => Message::Begin {
                settings: String::from_utf8(from.bytes()?.to_vec()).ok()?,
                on_gpu: from.number()? == 1,
                noise: *from.values::<f64>()?.first()?,
                start: from.state()?,
            },
            2 => Message::Step(Cow::Owned(from.batch()?)),
            3 => Message::Predict(Cow::Owned(from.batch()?)),
            4 => Message::Restore(Box::new(Snapshot {
                state: from.state()?,
                first_moments: from.values()?,
                second_moments: from.values()?,
                last_good_params: from.values()?,
                updates: from.number()?,
            })),
            5 => Message::Compare,
            _ => Message::End,
        })
    }
}

/// Arrays one after the other, each with its length.
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn values<T: bytemuck::NoUninit>(&mut self, values: &[T]) {
        self.bytes(bytemuck::cast_slice(values));
    }

    fn state(&mut self, state: &State) {
        self.values(&state.params);
        self.values(&state.buffers);
        self.number(state.batches_tracked as u64);
    }

    fn batch(&mut self, batch: &Batch) {
        match &batch.truth {
            Truth::Rectangles(rectangles) => {
                self.number(0);
                let numbers = rectangles.iter().flat_map(|r| [r.center, r.half_size, [r.strength, 0.0]]);
                self.values(&numbers.flatten().collect::<Vec<f64>>());
            }
            Truth::Fields(fields) => {
                self.number(1);
                self.values(fields);
            }
        }
        self.values(batch.noise.as_deref().unwrap_or_default());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (own, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(own)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count as usize)
    }

    fn values<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&mut self) -> Option<Vec<T>> {
        Some(bytemuck::pod_collect_to_vec(self.bytes()?))
    }

    fn state(&mut self) -> Option<State> {
        let (params, buffers) = (self.values()?, self.values()?);
        Some(State { params, buffers, batches_tracked: self.number()? as i64 })
    }

    fn batch(&mut self) -> Option<Batch> {
        let is_fields = self.number()? == 1;
        let values: Vec<f64> = self.values()?;
        let rectangle =
            |v: &[f64]| Rectangle { center: [v[0], v[1]], half_size: [v[2], v[3]], strength: v[4] };
        let truth = match is_fields {
            true => Truth::Fields(values),
            false => Truth::Rectangles(values.chunks_exact(6).map(rectangle).collect()),
        };
        let noise: Vec<f64> = self.values()?;
        Some(Batch { truth, noise: Some(noise).filter(|noise| !noise.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rectangles::PER_SAMPLE;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let state = State { params: vec![1.5, -2.0], buffers: vec![0.1], batches_tracked: 7 };
        let rectangle = Rectangle { center: [1.0, 2.0], half_size: [3.0, 4.0], strength: 0.5 };
        let drawn = Batch::rectangles(vec![rectangle; PER_SAMPLE]);
        let fields = Batch { noise: Some(vec![0.1, 0.2]), ..Batch::fields(vec![1.0, f64::MIN_POSITIVE]) };
        let snapshot = Snapshot { updates: 9, ..Snapshot::before(state.clone()) };
        for message in [
            Message::Begin { settings: "lr = 1.0".to_owned(), on_gpu: true, noise: 1e-3, start: state },
            Message::Compare,
            Message::Step(Cow::Owned(drawn)),
            Message::Predict(Cow::Owned(fields)),
            Message::Restore(Box::new(snapshot)),
            Message::End,
        ] {
            let bytes = message.to_bytes();
            assert_eq!(Message::of_bytes(&bytes), message);
            assert_eq!(Message::of_bytes(&bytes[..bytes.len() - 1]), Message::End);
        }
    }
}
