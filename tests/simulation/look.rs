//! A look at the whole world after each step.

use tokio::runtime::Handle;

use crate::capture::secret_in;
use crate::faults::Host;
use crate::judge::Look;
use crate::world::World;

/// A look comes right after a crash, when what that has ended is still there: at most two tasks for
/// each of two issuers.
const JUST_ENDED: usize = 4;

impl World {
    /// Shows the judge how the hosts are, and the log.
    pub(crate) fn look(&self) {
        let started = |host: Host| self.started[&host].0;
        let mut most_tasks = 0;
        for (index, host) in self.public.iter().enumerate() {
            let Some(host) = host else { continue };
            // The refresher, and the request that it makes.
            most_tasks += 2;
            let place = Host::Public(index);
            self.judge.look(Look {
                host: place,
                started: started(place),
                is_ready: [host.tokens.health().is_ready(); 2],
                keys: 0,
            });
        }
        for (index, host) in self.protected.iter().enumerate() {
            let Some(host) = host else { continue };
            let health = host.validator.health();
            most_tasks += 2 * health.len();
            let place = Host::Protected(index);
            let mut is_ready = [false; 2];
            for (ready, issuer) in is_ready.iter_mut().zip(&health) {
                *ready = issuer.usable;
            }
            self.judge.look(Look {
                host: place,
                started: started(place),
                is_ready,
                keys: health.iter().map(|issuer| issuer.keys).max().unwrap_or(0),
            });
        }
        let tasks = Handle::current().metrics().num_alive_tasks();
        if tasks > most_tasks + JUST_ENDED {
            let promise = format!("bounds: {tasks} tasks where {most_tasks} have work");
            self.trace.broken(promise);
        }
        if let Some(text) = self.log.take()
            && let Some(line) = secret_in(&text)
        {
            self.trace.broken(format!("secrets: in the log: {line}"));
        }
    }
}
