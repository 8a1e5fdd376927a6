//! A future that a callback of wgpu fulfils, made of nothing but std.

use std::future::Future;
use std::mem::replace;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A value, once the callback was called; none, where it never will be: a device that is gone forgets its callbacks.
pub(crate) struct Promise<T>(Arc<Mutex<State<T>>>);

/// The callback's end.
pub(crate) struct Fulfil<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    Open(Option<Waker>),
    Kept(T),
    /// Broken, or taken.
    Over,
}

/// Both ends.
pub(crate) fn promise<T>() -> (Fulfil<T>, Promise<T>) {
    let state = Arc::new(Mutex::new(State::Open(None)));
    (Fulfil(state.clone()), Promise(state))
}

impl<T> Fulfil<T> {
    pub(crate) fn with(self, value: T) {
        self.settle(State::Kept(value));
    }

    fn settle(&self, settled: State<T>) {
        let mut state = self.0.lock().unwrap();
        if let State::Open(waker) = &mut *state {
            let waker = waker.take();
            *state = settled;
            drop(state);
            waker.inspect(Waker::wake_by_ref);
        }
    }
}

impl<T> Drop for Fulfil<T> {
    fn drop(&mut self) {
        self.settle(State::Over);
    }
}

impl<T> Future for Promise<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<T>> {
        let mut state = self.0.lock().unwrap();
        match replace(&mut *state, State::Over) {
            State::Open(_) => {
                *state = State::Open(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Kept(value) => Poll::Ready(Some(value)),
            State::Over => Poll::Ready(None),
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

    /// What the promise says before and after `act`, and how often it woke the one who asked.
    fn around(act: impl FnOnce(Fulfil<u8>)) -> [Poll<Option<u8>>; 2] {
        let (fulfil, mut promise) = promise();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut ask = || Pin::new(&mut promise).poll(&mut Context::from_waker(&waker));
        let before = ask();
        act(fulfil);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "woken once");
        [before, ask()]
    }

    #[test]
    fn whoever_asked_is_woken_by_the_value_or_by_its_loss() {
        assert_eq!(around(|fulfil| fulfil.with(7)), [Poll::Pending, Poll::Ready(Some(7))]);
        assert_eq!(around(drop), [Poll::Pending, Poll::Ready(None)]);
    }

    #[test]
    fn a_value_may_come_before_anyone_asks() {
        let (fulfil, mut promise) = promise();
        fulfil.with(7);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut promise).poll(&mut context), Poll::Ready(Some(7)));
    }
}
