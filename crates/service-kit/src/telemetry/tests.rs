use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::request_id::RequestId;

/// A writer that stays inside `write` until its channel is closed, like a pipe nobody reads.
struct Blocked(mpsc::Receiver<()>);

impl Write for Blocked {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // Only the end of the channel matters.
        let _ = self.0.recv();
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// H12
#[test]
fn a_log_that_nobody_reads_drops_lines_instead_of_blocking() {
    let (unblock, blocked) = mpsc::channel();
    let (mut writer, guard) = Guard::over(LogFormat::Json, Blocked(blocked));
    for _ in 0..WAITING_LINES + 100 {
        writer.write_all(b"line\n").unwrap();
    }
    // The worker has taken at most one line out of the queue.
    assert!(guard.dropped_lines() >= 99, "{}", guard.dropped_lines());
    drop(guard);
    drop(unblock);
}

/// H12
#[test]
fn the_last_line_says_how_many_were_dropped() {
    for (format, expected) in [
        (
            LogFormat::Pretty,
            "WARN log lines were dropped log.dropped=",
        ),
        (
            LogFormat::Json,
            r#"{"level":"WARN","message":"log lines were dropped","log.dropped":"#,
        ),
    ] {
        let output = Captured::default();
        let (unblock, blocked) = mpsc::channel();
        let gate = Gate {
            blocked,
            output: output.clone(),
        };
        let (mut writer, guard) = Guard::over(format, gate);
        for _ in 0..WAITING_LINES + 2 {
            writer.write_all(b"line\n").unwrap();
        }
        assert!(guard.dropped_lines() > 0);
        drop(unblock);
        // The second written line came out of the queue after it was full, so that there is room now.
        while output.text().lines().count() < 3 {
            std::thread::yield_now();
        }
        drop(guard);
        let text = output.text();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with(expected), "{last}");
    }
}

/// Blocks like [`Blocked`] and then passes on.
struct Gate {
    blocked: mpsc::Receiver<()>,
    output: Captured,
}

impl Write for Gate {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _ = self.blocked.recv();
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// J5
#[test]
fn a_panic_is_logged_by_its_place_and_not_by_its_message() {
    let output = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(output.clone())
        .finish();
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(log_panic));
    let result = tracing::subscriber::with_default(subscriber, || {
        catch_unwind(AssertUnwindSafe(|| panic!("hunter2")))
    });
    std::panic::set_hook(previous);
    assert!(result.is_err());
    let text = output.text();
    assert!(text.contains("telemetry/tests.rs"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_filter_that_is_no_directive_list_is_refused() {
    for (filter, good) in [
        ("info", true),
        ("info,hyper=off", true),
        ("a=b=c", false),
        ("x=loud", false),
    ] {
        assert_eq!(is_filter(filter), good, "{filter}");
    }
}

#[tokio::test]
async fn a_line_about_a_request_ends_with_its_id_and_no_other_does() {
    let headers = http::HeaderMap::from_iter([(
        crate::request_id::REQUEST_ID,
        http::HeaderValue::from_static("abc"),
    )]);
    let id = RequestId::of(&headers);
    for (format, about, other) in [
        (LogFormat::Pretty, "one a=1 request.id=abc", "two"),
        (LogFormat::Json, r#""request.id":"abc"}"#, r#"tests"}"#),
    ] {
        let output = Captured::default();
        let builder = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(output.clone());
        let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match format {
            LogFormat::Pretty => Box::new(builder.event_format(Line(format)).finish()),
            LogFormat::Json => Box::new(builder.json().event_format(Line(format)).finish()),
        };
        let _default = tracing::subscriber::set_default(subscriber);
        id.scope(async { tracing::info!(a = 1, "one") }).await;
        tracing::info!("two");
        let text = output.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with(about), "{text}");
        assert!(lines[1].ends_with(other), "{text}");
        if format == LogFormat::Json {
            for line in lines {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}

/// N72
#[test]
fn the_verifier_of_certificates_is_heard_only_by_name() {
    for (directives, expected) in [
        ("info", false),
        ("trace", false),
        ("info,rustls_platform_verifier=error", true),
    ] {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(log_filter(directives).unwrap())
            .with_writer(captured.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "rustls_platform_verifier::verification", "theirs");
            tracing::error!("ours");
        });
        let text = captured.text();
        assert_eq!(text.contains("theirs"), expected, "{directives}: {text}");
        assert!(text.contains("ours"), "{directives}: {text}");
    }
}
