//! A wake-up that is not lost when nobody waits yet, as `tokio::sync::Notify`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use shuttle::sync::Mutex;

/// Stores at most one permit. A waiter that was chosen and goes away passes the wake-up on.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    permit: bool,
    waiting: VecDeque<(u64, Waker)>,
    chosen: Vec<u64>,
    next: u64,
}

#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    Queued(u64),
    Done,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        self.0.lock().unwrap().notify_one();
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            place: Place::Outside,
        }
    }
}

impl State {
    fn notify_one(&mut self) {
        match self.waiting.pop_front() {
            Some((id, waker)) => {
                self.chosen.push(id);
                waker.wake();
            }
            None => self.permit = true,
        }
    }

    fn take_chosen(&mut self, id: u64) -> bool {
        let before = self.chosen.len();
        self.chosen.retain(|chosen| *chosen != id);
        self.chosen.len() < before
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.0.lock().unwrap();
        let place = match self.place {
            Place::Outside if state.permit => {
                state.permit = false;
                Place::Done
            }
            Place::Outside => {
                let id = state.next;
                state.next += 1;
                state.waiting.push_back((id, cx.waker().clone()));
                Place::Queued(id)
            }
            Place::Queued(id) if state.take_chosen(id) => Place::Done,
            Place::Queued(id) => {
                for (waiting, waker) in &mut state.waiting {
                    if *waiting == id {
                        waker.clone_from(cx.waker());
                    }
                }
                Place::Queued(id)
            }
            Place::Done => Place::Done,
        };
        drop(state);
        self.place = place;
        match place {
            Place::Done => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Place::Queued(id) = self.place {
            let mut state = self.notify.0.lock().unwrap();
            state.waiting.retain(|(waiting, _)| *waiting != id);
            if state.take_chosen(id) {
                state.notify_one();
            }
        }
    }
}
