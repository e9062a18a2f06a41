//! The requests that the services work on.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http;
use tower::ServiceExt as _;

use crate::faults::Host;
use crate::judge::Judge;
use crate::network::{Id, Network, Request, Response};

/// They run in the order of their ids and not as tasks: tokio wakes those who wait for one thing in
/// random order, and a seed would not always tell the same.
#[derive(Default)]
pub(crate) struct Handlers(BTreeMap<Id, Pin<Box<dyn Future<Output = ()>>>>);

impl Handlers {
    /// Lets a router work on a request.
    pub(crate) fn start(
        &mut self,
        router: Router,
        id: Id,
        request: Request,
        judge: &Judge,
        network: &Network,
    ) {
        let (judge, network) = (judge.clone(), network.clone());
        let request = request.map(Body::from);
        self.0.insert(
            id,
            Box::pin(async move {
                let Ok(response) = router.oneshot(request).await;
                let (parts, body) = response.into_parts();
                let body: Bytes = to_bytes(body, usize::MAX).await.unwrap();
                let response: Response = http::Response::from_parts(parts, body);
                judge.answered(id, &response);
                network.answer(id, response);
            }),
        );
    }

    /// Drops a request that nobody waits for any more.
    pub(crate) fn stop(&mut self, id: Id) {
        self.0.remove(&id);
    }

    /// Drops what a host was working on.
    pub(crate) fn crash(&mut self, host: Host) {
        self.0.retain(|id, _| id.to != host);
    }

    /// Works until it is dropped.
    pub(crate) async fn work(&mut self) {
        poll_fn(|cx| {
            self.0
                .retain(|_, handler| handler.as_mut().poll(cx).is_pending());
            Poll::<()>::Pending
        })
        .await;
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
