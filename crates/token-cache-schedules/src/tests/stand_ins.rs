//! The stand-ins keep the promises of what they stand for.

use shuttle::future::{block_on, spawn};

use super::{explore_all, run};
use crate::sync::{Arc, Notify, watch};

/// Polls once and leaves.
async fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut future = future;
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[test]
fn a_notification_waits_for_its_waiter_and_two_are_one() {
    explore_all(|| {
        block_on(async {
            let notify = Notify::new();
            notify.notify_one();
            notify.notify_one();
            notify.notified().await;
            let mut second = std::pin::pin!(notify.notified());
            assert!(!poll_once(second.as_mut()).await);
            notify.notify_one();
            second.await;
        });
    });
}

#[test]
fn a_notified_waiter_that_leaves_passes_the_notification_on() {
    explore_all(|| {
        block_on(async {
            let notify = Notify::new();
            {
                let mut leaving = std::pin::pin!(notify.notified());
                assert!(!poll_once(leaving.as_mut()).await);
                notify.notify_one();
            }
            notify.notified().await;
        });
    });
}

#[test]
fn a_receiver_sees_every_change_after_its_subscription() {
    explore_all(|| {
        let sender = Arc::new(watch::Sender::new(0));
        let mut receiver = sender.subscribe();
        let watching = spawn({
            let sender = Arc::clone(&sender);
            async move {
                while *sender.borrow() < 2 {
                    receiver.changed().await.unwrap();
                }
            }
        });
        sender.send_modify(|value| *value += 1);
        sender.send_modify(|value| *value += 1);
        block_on(watching).unwrap();
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wait_that_nobody_ends_is_reported() {
    run(shuttle::scheduler::RandomScheduler::new(1), || {
        let notify = Notify::new();
        block_on(notify.notified());
    });
}
