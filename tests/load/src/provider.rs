//! What happens to the identity provider during the run.

use std::sync::Arc;
use std::time::Duration;

use dev_idp::{DevIdp, Rotation};
use tokio::time::{Instant, sleep_until};

use crate::Failure;

/// How often keys rotate.
const ROTATION: Duration = Duration::from_secs(60);
/// The provider goes down once in this time.
const OUTAGE_PERIOD: Duration = Duration::from_secs(300);
/// When in each period it goes down. Off the minute, so that no rotation falls into it.
const OUTAGE_BEGINS: Duration = Duration::from_secs(25);
const OUTAGE: Duration = Duration::from_secs(30);

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) overlapping: u32,
    pub(crate) hard: u32,
    pub(crate) outages: u32,
}

#[derive(Clone, Copy)]
enum Event {
    Rotate,
    Down,
    Up,
}

pub(crate) async fn rotate_and_fail(idp: Arc<DevIdp>, end: Instant) -> Result<Events, Failure> {
    let begun = Instant::now();
    let mut events = Events::default();
    let mut queue = [
        (begun + ROTATION, Event::Rotate),
        (begun + OUTAGE_BEGINS, Event::Down),
        (begun + OUTAGE_BEGINS + OUTAGE, Event::Up),
    ];
    loop {
        queue.sort_by_key(|(at, _)| *at);
        let (at, event) = &mut queue[0];
        // What went down comes up again, whatever the end is.
        if *at >= end {
            idp.resume().await?;
            return Ok(events);
        }
        sleep_until(*at).await;
        match event {
            Event::Rotate => {
                let overlapping = events.overlapping <= events.hard;
                if overlapping {
                    events.overlapping += 1;
                    idp.rotate(Rotation::Overlapping).await?;
                } else {
                    events.hard += 1;
                    idp.rotate(Rotation::Hard).await?;
                }
                *at += ROTATION;
            }
            Event::Down => {
                events.outages += 1;
                idp.pause().await;
                *at += OUTAGE_PERIOD;
            }
            Event::Up => {
                idp.resume().await?;
                *at += OUTAGE_PERIOD;
            }
        }
    }
}
