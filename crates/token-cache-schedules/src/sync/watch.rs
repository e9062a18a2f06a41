//! A value whose every change wakes all who watch it, as `tokio::sync::watch`.

use std::future::poll_fn;
use std::ops::Deref;
use std::task::{Poll, Waker};

use shuttle::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

/// Starts with the current value seen.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    seen: u64,
}

/// A look at the value. Nobody changes it meanwhile, so it must be short.
#[derive(Debug)]
pub(crate) struct Ref<'a, T>(MutexGuard<'a, State<T>>);

/// The sender is gone.
#[derive(Debug)]
pub(crate) struct RecvError;

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    closed: bool,
    wakers: Vec<Waker>,
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(State {
            value,
            version: 0,
            closed: false,
            wakers: Vec::new(),
        })))
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.lock().unwrap())
    }

    pub(crate) fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.lock().unwrap().version;
        Receiver {
            shared: Arc::clone(&self.0),
            seen,
        }
    }

    /// Counts as a change whatever `modify` does.
    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        let mut state = self.0.lock().unwrap();
        modify(&mut state.value);
        state.version += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap();
        state.closed = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Receiver<T> {
    /// Waits until there was a change that this receiver has not seen, and counts it as seen.
    pub(crate) async fn changed(&mut self) -> Result<(), RecvError> {
        let Self { shared, seen } = self;
        poll_fn(|cx| {
            let mut state = shared.lock().unwrap();
            if state.version > *seen {
                *seen = state.version;
                Poll::Ready(Ok(()))
            } else if state.closed {
                Poll::Ready(Err(RecvError))
            } else {
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}
