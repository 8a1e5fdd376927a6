//! A one-shot channel from a callback of wgpu to whoever awaits it, made of nothing but std.

use std::future::Future;
use std::mem::replace;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// The end that is awaited: a value once it was sent, or none where it never will be. A device that is gone
/// drops its callbacks and the senders in them.
pub(crate) struct Receiver<T>(Arc<Mutex<State<T>>>);

/// The end that is moved into the callback.
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    /// Nothing has been sent yet. Holds who is to be woken then.
    Waiting(Option<Waker>),
    /// Sent and not received yet.
    Sent(T),
    /// The sender was dropped, or the value was received.
    Closed,
}

/// Both ends of a channel for one value.
pub(crate) fn one_shot<T>() -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    (Sender(state.clone()), Receiver(state))
}

impl<T> Sender<T> {
    /// Hands over `value` and wakes whoever awaits it.
    pub(crate) fn send(self, value: T) {
        self.settle(State::Sent(value));
    }

    fn settle(&self, settled: State<T>) {
        let mut state = self.0.lock().unwrap();
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = settled;
            drop(state);
            waker.inspect(Waker::wake_by_ref);
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.settle(State::Closed);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<T>> {
        let mut state = self.0.lock().unwrap();
        match replace(&mut *state, State::Closed) {
            State::Waiting(_) => {
                *state = State::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Sent(value) => Poll::Ready(Some(value)),
            State::Closed => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What the receiver says before and after `act`, which wakes whoever asked once.
    fn around(act: impl FnOnce(Sender<u8>)) -> [Poll<Option<u8>>; 2] {
        let (sender, mut receiver) = one_shot();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut ask = || Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker));
        let before = ask();
        act(sender);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "woken once");
        [before, ask()]
    }

    #[test]
    fn whoever_asked_is_woken_by_the_value_or_by_its_loss() {
        assert_eq!(around(|sender| sender.send(7)), [Poll::Pending, Poll::Ready(Some(7))]);
        assert_eq!(around(drop), [Poll::Pending, Poll::Ready(None)]);
    }

    #[test]
    fn a_value_may_come_before_anyone_asks() {
        let (sender, mut receiver) = one_shot();
        sender.send(7);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut receiver).poll(&mut context), Poll::Ready(Some(7)));
    }
}
