//! Several addresses, of which the first that answers is taken.

use std::future::{self, Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// How long one address is alone before the next is tried beside it: what RFC 8305 section 5 recommends.
pub(crate) const STAGGER: Duration = Duration::from_millis(250);

/// Tries the addresses one after the other and returns what the first success brought. The next one
/// begins [`STAGGER`] after the one before it, or at once when one has failed; those before it go on.
///
/// # Errors
///
/// Fails with the first error when all have failed. `addresses` must not be empty.
pub(crate) async fn first<A, T, E, F>(addresses: Vec<A>, attempt: impl Fn(A) -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut rest = addresses.into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut first_error = None;
    loop {
        if let Some(address) = rest.next() {
            running.push(Box::pin(attempt(address)));
        }
        let pause = async {
            match rest.len() {
                0 => future::pending().await,
                _ => sleep(STAGGER).await,
            }
        };
        tokio::select! {
            result = any(&mut running) => match result {
                Ok(found) => return Ok(found),
                Err(error) => {
                    let error = first_error.take().unwrap_or(error);
                    if running.is_empty() && rest.len() == 0 {
                        return Err(error);
                    }
                    first_error = Some(error);
                }
            },
            () = pause => {}
        }
    }
}

/// Waits for one of the attempts to end, and takes it out.
async fn any<F: Future>(running: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|context| {
        for index in 0..running.len() {
            if let Poll::Ready(result) = running[index].as_mut().poll(context) {
                drop(running.swap_remove(index));
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    const SECOND: Duration = Duration::from_secs(1);

    /// What an address does: after so long, so.
    type Script = (Duration, Result<u8, u8>);

    async fn raced(scripts: Vec<Script>) -> (Result<u8, u8>, Duration) {
        let begun = Instant::now();
        let attempt = |(after, result): Script| async move {
            sleep(after).await;
            result
        };
        (first(scripts, attempt).await, begun.elapsed())
    }

    /// N21
    #[tokio::test(start_paused = true)]
    async fn each_address_has_its_whole_time_and_none_waits_for_those_before_it() {
        for (name, scripts, expected, after) in [
            ("one", vec![(SECOND, Ok(1))], Ok(1), SECOND),
            (
                "the first is quick enough",
                vec![(STAGGER / 2, Ok(1)), (STAGGER / 2, Ok(2))],
                Ok(1),
                STAGGER / 2,
            ),
            (
                "seven are dead",
                [vec![(10 * SECOND, Err(0)); 7], vec![(STAGGER, Ok(8))]].concat(),
                Ok(8),
                STAGGER * 8,
            ),
            (
                "a refusal is not waited after",
                vec![(Duration::ZERO, Err(0)), (STAGGER / 2, Ok(2))],
                Ok(2),
                STAGGER / 2,
            ),
            (
                "the first is slow and wins all the same",
                vec![(SECOND, Ok(1)), (2 * SECOND, Ok(2))],
                Ok(1),
                SECOND,
            ),
            (
                "all fail",
                vec![(SECOND, Err(1)), (STAGGER, Err(2))],
                Err(2),
                SECOND,
            ),
        ] {
            assert_eq!(raced(scripts).await, (expected, after), "{name}");
        }
    }
}
