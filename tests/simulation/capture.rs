//! All that is logged, for the search for secrets in it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use crate::nonsense::CANARY;

/// The log of one run. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects everything down to a level.
    pub(crate) fn subscriber(&self, level: Level) -> Dispatch {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish()
            .into()
    }

    /// Takes what was logged since the last call.
    pub(crate) fn take(&self) -> Option<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns the part of a text that shows a token or a foreign body.
pub(crate) fn secret_in(text: &str) -> Option<&str> {
    // What a compact JWT begins with, whatever its header is.
    let at = text.find("eyJ").or_else(|| text.find(CANARY))?;
    let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
    text[line..].lines().next()
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
