use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

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
