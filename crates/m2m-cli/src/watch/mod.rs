//! `m2m watch`: the status addresses of running services, live.
//!
//! Listens to `/events` of each address. On a terminal there is one screen, drawn anew with each
//! document; elsewhere one line per change, each with its time in UTC.

mod changes;
mod feed;
mod panel;
mod screen;

use std::io::{self, Write};

use serde_json::Value;
use service_kit::config::{ConfigError, Reader};
use service_kit::server::reachable;
use tokio::sync::mpsc;
use url::Url;

use crate::settings::Settings;

use changes::Changes;
use feed::{Feed, Update};
use panel::Panel;
use screen::Screen;

/// Returns the status addresses that the variables name, public-data's first; none for one that is off.
///
/// # Errors
///
/// Fails when a variable cannot be read.
pub fn addresses(settings: &Settings<'_>) -> Result<Vec<Url>, ConfigError> {
    let read = |reader: &mut Reader<'_>| {
        [
            ("PUBLIC_DATA_ADMIN_ADDR", 6011),
            ("PROTECTED_DATA_ADMIN_ADDR", 6012),
        ]
        .map(|(name, port)| reader.socket_addr_or_off(name, ([127, 0, 0, 1], port).into()))
    };
    let (addresses, _) = settings.read(read)?;
    let url = |address| Url::parse(&format!("http://{}", reachable(address))).ok();
    Ok(addresses.into_iter().flatten().filter_map(url).collect())
}

/// Reads an address as a person writes it: a URL, or a host and a port.
#[must_use]
pub fn address(text: &str) -> Option<Url> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&with_scheme).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// One service that is watched.
struct Watched {
    address: Url,
    /// The last document; `None` until there was one.
    document: Option<Value>,
    /// Why there is none at present.
    gone: Option<String>,
    changes: Changes,
}

/// How a service is shown.
pub(crate) enum Output {
    /// One screen, in colours or without.
    Screen {
        /// Whether colours are wanted.
        colour: bool,
    },
    /// One line per change.
    Lines,
}

/// Watches until Ctrl-C, SIGTERM or SIGHUP and returns the exit code: 0, or 1 when no address answers at
/// first. A reader that goes away ends it too. The terminal is left as it was in each case.
///
/// # Errors
///
/// Fails when the client cannot be set up or the output cannot be written.
pub(crate) async fn watch(addresses: Vec<Url>, output: Output) -> io::Result<u8> {
    let told_to_end = told_to_end()?;
    let (sender, mut updates) = mpsc::channel(16);
    let mut watched = Vec::new();
    for (index, address) in addresses.into_iter().enumerate() {
        let feed = Feed::new(&address, index, sender.clone()).map_err(io::Error::other)?;
        tokio::spawn(feed.run());
        watched.push(Watched {
            address,
            document: None,
            gone: None,
            changes: Changes::default(),
        });
    }
    drop(sender);
    let shown = async {
        let mut screen = match output {
            Output::Screen { colour } => Some(Screen::open(colour)),
            Output::Lines => None,
        };
        while let Some((index, update)) = updates.recv().await {
            let lines = watched[index].take(update);
            if watched
                .iter()
                .all(|it| it.document.is_none() && it.gone.is_some())
            {
                drop(screen);
                for it in &watched {
                    let why = it.gone.as_deref().unwrap_or_default();
                    // A closed standard error leaves the exit code to tell.
                    let _ = writeln!(io::stderr(), "error: {}: {why}", it.address);
                }
                let advice = "is the service running? check PUBLIC_DATA_ADMIN_ADDR and \
                              PROTECTED_DATA_ADMIN_ADDR";
                let _ = writeln!(io::stderr(), "{advice}");
                return Ok(1);
            }
            match &mut screen {
                Some(screen) => screen.draw(&panels(&watched))?,
                None => {
                    let mut stdout = io::stdout().lock();
                    for line in lines {
                        writeln!(stdout, "{line}")?;
                    }
                    stdout.flush()?;
                }
            }
        }
        Ok(0)
    };
    let result: io::Result<u8> = tokio::select! {
        result = shown => result,
        () = told_to_end => Ok(0),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        result => result,
    }
}

/// Returns a future that is ready at the first signal from now on that would end the process otherwise, and
/// leave the terminal on the wrong screen without its cursor.
#[cfg(unix)]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Returns a future that is ready at the first Ctrl-C from now on.
#[cfg(not(unix))]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

impl Watched {
    /// Takes in what came and returns what has changed by it.
    fn take(&mut self, update: Update) -> Vec<String> {
        match update {
            Update::Document(document) => {
                let was_gone = self.gone.take().is_some() && self.document.is_some();
                let lines = self.changes.of(&document, was_gone);
                self.document = Some(document);
                lines
            }
            Update::Gone(why) => {
                let is_new = self.gone.is_none() && self.document.is_some();
                let lines = is_new.then(|| self.changes.gone(&why));
                self.gone = Some(why);
                lines.into_iter().collect()
            }
        }
    }
}

/// The services that have answered so far; one that is not there is not missed.
fn panels(watched: &[Watched]) -> Vec<Panel> {
    let answered = watched.iter().filter_map(|it| {
        let document = it.document.as_ref()?;
        Some(Panel::new(&it.address, document, it.gone.as_deref()))
    });
    answered.collect()
}
