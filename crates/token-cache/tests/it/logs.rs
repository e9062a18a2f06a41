//! What is logged on this thread.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{Targets, dynamic_filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    /// What is captured of this thread's spans and events.
    static CAPTURED: RefCell<Option<(Targets, Buffer)>> = const { RefCell::new(None) };
}

pub(crate) struct Logs(Buffer);

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Captures spans and events until dropped, on a runtime that runs on this thread.
    ///
    /// One subscriber serves all threads: what a thread without one logs first would be switched off for all.
    pub(crate) fn capture(targets: &str) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let of_this_thread = dynamic_filter_fn(|metadata, _| {
                CAPTURED.with_borrow(|captured| {
                    let captured = captured.as_ref();
                    captured.is_some_and(|(targets, _)| {
                        targets.would_enable(metadata.target(), metadata.level())
                    })
                })
            });
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
                .with_writer(|| {
                    let buffer = CAPTURED.with_borrow(|captured| {
                        captured.as_ref().map(|(_, buffer)| buffer.clone())
                    });
                    buffer.unwrap_or_default()
                });
            tracing_subscriber::registry()
                .with(lines.with_filter(of_this_thread))
                .init();
        });
        let buffer = Buffer::default();
        CAPTURED.set(Some((targets.parse().unwrap(), buffer.clone())));
        Self(buffer)
    }

    /// One JSON object per line.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().clone()).unwrap()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        CAPTURED.set(None);
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
