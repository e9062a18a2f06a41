//! One case: what was sent, and what it cost the services.

use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use serde_json::{Value, json};

use crate::Failure;
use crate::bench::generator::{Requests, Sent};
use crate::program::Program;

/// A case over all its rounds.
pub(crate) struct Case<'p> {
    name: String,
    clients: usize,
    requests: Requests,
    programs: Vec<&'p Program>,
    sent: Vec<Sent>,
    elapsed: Duration,
    /// Time on a core, by program.
    busy: Vec<Duration>,
    /// Of the first program, at the end of a turn.
    resident_kib: Option<u64>,
}

/// What a case came to.
#[derive(Debug)]
pub(crate) struct Cost {
    name: String,
    requests: u64,
    shed: u64,
    per_second: f64,
    /// µs on a core per request, by program; `None` where the system does not tell.
    busy_us: Vec<Option<f64>>,
    p50_us: u64,
    p99_us: u64,
    resident_mib: Option<f64>,
}

impl<'p> Case<'p> {
    pub(crate) fn new(
        name: &str,
        clients: usize,
        requests: Requests,
        programs: Vec<&'p Program>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            clients,
            requests,
            busy: vec![Duration::ZERO; programs.len()],
            resident_kib: None,
            programs,
            sent: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) async fn turn(&mut self, time: Duration) -> Result<(), Failure> {
        let core_times = |programs: &[&Program]| -> Vec<Duration> {
            let times = programs.iter().map(|it| it.core_time());
            times.map(Option::unwrap_or_default).collect()
        };
        let before = core_times(&self.programs);
        let begun = tokio::time::Instant::now();
        let sent = self.requests.send_for(self.clients, time).await?;
        self.elapsed += begun.elapsed();
        let after = core_times(&self.programs);
        for ((total, before), after) in self.busy.iter_mut().zip(before).zip(after) {
            *total += after.saturating_sub(before);
        }
        self.resident_kib = self.programs[0].resident_kib().max(self.resident_kib);
        self.sent.push(sent);
        Ok(())
    }

    pub(crate) fn cost(&self) -> Cost {
        let requests: u64 = self.sent.iter().map(|sent| sent.requests).sum();
        let count = float(requests.max(1));
        let mut latency = self.sent[0].latency.clone();
        for sent in &self.sent[1..] {
            // Histograms of the same bounds.
            let _ = latency.add(&sent.latency);
        }
        let resident = self.resident_kib.map(|kib| float(kib) / 1_024.0);
        let busy = |busy: &Duration| (!busy.is_zero()).then(|| busy.as_secs_f64() * 1e6 / count);
        Cost {
            name: self.name.clone(),
            requests,
            shed: self.sent.iter().map(|sent| sent.shed).sum(),
            per_second: count / self.elapsed.as_secs_f64().max(f64::EPSILON),
            busy_us: self.busy.iter().map(busy).collect(),
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
            resident_mib: resident,
        }
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) fn print(rows: &[Cost]) {
    let base = rows[0].busy_us[0];
    println!(
        "\n| {:<38} | {:>9} | {:>11} | {:>12} | {:>7} | {:>8} | {:>8} | {:>7} |",
        "what", "requests", "CPU/request", "beside first", "shed", "p50", "p99", "memory"
    );
    println!(
        "|{:-<40}|{:->11}|{:->13}|{:->14}|{:->9}|{:->10}|{:->10}|{:->9}|",
        "", "", "", "", "", "", "", ""
    );
    for row in rows {
        let busy = row.busy_us[0];
        let cost = busy.map_or_else(String::new, |us| format!("{us:.2} µs"));
        let ratio = match (busy, base) {
            (Some(busy), Some(base)) => format!("{:.2} ×", busy / base),
            _ => String::new(),
        };
        let memory = row
            .resident_mib
            .map_or_else(String::new, |mib| format!("{mib:.1} M"));
        println!(
            "| {:<38} | {:>9} | {cost:>11} | {ratio:>12} | {:>7} | {:>5} µs | {:>5} µs | {memory:>7} |",
            row.name, row.requests, row.shed, row.p50_us, row.p99_us
        );
    }
}

pub(crate) fn json(rows: &[Cost]) -> Vec<Value> {
    rows.iter()
        .map(|row| {
            json!({
                "name": row.name,
                "requests": row.requests,
                "shed": row.shed,
                "requests_per_second": row.per_second,
                "cpu_us_per_request": row.busy_us,
                "p50_us": row.p50_us,
                "p99_us": row.p99_us,
                "resident_mib": row.resident_mib,
            })
        })
        .collect()
}

/// A bar per case.
pub(crate) fn draw(path: &Path, rows: &[Cost]) -> Result<(), Failure> {
    let bars: Vec<(&str, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.busy_us[0]?)))
        .collect();
    let longest = bars.iter().map(|(_, us)| *us).fold(1.0, f64::max);
    let height = 40 + 34 * u32::try_from(bars.len())?;
    let root = SVGBackend::new(path, (900, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = ("sans-serif", 15).into_font();
    root.draw_text("CPU time per request (µs)", &style.clone().into(), (10, 10))?;
    for (n, (name, us)) in bars.iter().enumerate() {
        let top = 40 + 34 * i32::try_from(n)?;
        // The bars have 480 pixels.
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 480")]
        let end = 300 + (us / longest * 480.0) as i32;
        root.draw(&Rectangle::new(
            [(300, top), (end, top + 22)],
            BLUE.mix(0.6).filled(),
        ))?;
        root.draw_text(name, &style.clone().into(), (10, top + 4))?;
        root.draw_text(
            &format!("{us:.1}"),
            &style.clone().into(),
            (end + 8, top + 4),
        )?;
    }
    root.present()?;
    Ok(())
}
