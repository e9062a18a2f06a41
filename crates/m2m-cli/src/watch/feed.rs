//! One address' events, for as long as it takes.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use url::Url;

/// The server sends a document per second; so long without one, and it is gone.
const SILENCE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);
/// Time until the next attempt after a connection has ended.
const RETRY: Duration = Duration::from_secs(1);
/// Far more than a document takes.
const MAX_EVENT: usize = 1024 * 1024;

/// What a feed brings.
#[derive(Debug)]
pub(super) enum Update {
    Document(Value),
    /// There is no connection, and why.
    Gone(String),
}

/// Listens to one address and comes again when the connection ends.
pub(super) struct Feed {
    client: Client,
    url: Url,
    index: usize,
    updates: Sender<(usize, Update)>,
}

impl Feed {
    pub(super) fn new(
        address: &Url,
        index: usize,
        updates: Sender<(usize, Update)>,
    ) -> reqwest::Result<Self> {
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if address.scheme() == "http" {
            // Root certificates that are never used take a hundred milliseconds to load.
            builder = builder.tls_certs_only([]);
        }
        let mut url = address.clone();
        url.set_path(&format!("{}/events", address.path().trim_end_matches('/')));
        Ok(Self {
            client: builder.build()?,
            url,
            index,
            updates,
        })
    }

    /// Runs until nobody takes the updates.
    pub(super) async fn run(self) {
        while !self.updates.is_closed() {
            let why = match self.listen().await {
                Ok(()) => "the service has ended the connection".to_owned(),
                Err(why) => why,
            };
            if self
                .updates
                .send((self.index, Update::Gone(why)))
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen(&self) -> Result<(), String> {
        let mut response = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .map_err(|error| text(&error))?;
        if response.status() != StatusCode::OK {
            let status = response.status().as_u16();
            return Err(format!("it answered {status} and is no status address"));
        }
        let mut events = Events::default();
        while let Some(document) = events.next(&mut response).await? {
            let update = Update::Document(document);
            if self.updates.send((self.index, update)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Takes server-sent events apart.
#[derive(Default)]
struct Events {
    buffer: Vec<u8>,
}

impl Events {
    async fn next(&mut self, response: &mut Response) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(document) = document(&event)? {
                    return Ok(Some(document));
                }
                continue;
            }
            match response.chunk().await.map_err(|error| text(&error))? {
                Some(chunk) if self.buffer.len() + chunk.len() <= MAX_EVENT => {
                    self.buffer.extend_from_slice(&chunk);
                }
                Some(_) => return Err("its document is too large".to_owned()),
                None => return Ok(None),
            }
        }
    }
}

/// The data of an event; an event without is a comment.
fn document(event: &[u8]) -> Result<Option<Value>, String> {
    let mut lines = event.split(|byte| *byte == b'\n');
    let Some(data) = lines.find_map(|line| line.strip_prefix(b"data:")) else {
        return Ok(None);
    };
    match serde_json::from_slice(data) {
        Ok(document @ Value::Object(_)) => Ok(Some(document)),
        _ => Err("its document is none".to_owned()),
    }
}

fn text(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "could not connect".to_owned()
    } else if error.is_timeout() {
        "it does not answer".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_among_the_fields_of_an_event() {
        let event = b"event: status\nretry: 1000\ndata: {\"state\":\"green\"}\n\n";
        assert_eq!(document(event).unwrap().unwrap()["state"], "green");
        assert_eq!(document(b": keep-alive\n\n"), Ok(None));
        assert!(document(b"data: <html>\n\n").is_err());
    }
}
