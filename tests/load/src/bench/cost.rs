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
    beside: Option<String>,
    clients: usize,
    requests: Requests,
    programs: Vec<&'p Program>,
    sent: Vec<Sent>,
    elapsed: Duration,
    /// Time on a core, by program.
    busy: Vec<Duration>,
    /// At the end of a turn, by program.
    resident_kib: Vec<Option<u64>>,
}

/// What a case came to.
#[derive(Debug)]
pub(crate) struct Cost {
    name: String,
    /// The case to compare it with.
    beside: Option<String>,
    requests: u64,
    shed: u64,
    lost: u64,
    reopened: u64,
    /// Requests that were neither shed nor lost.
    good_per_second: f64,
    /// µs on a core per request, by program; `None` where the system does not tell.
    busy_us: Vec<Option<f64>>,
    p50_us: u64,
    p99_us: u64,
    resident_mib: Vec<Option<f64>>,
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
            resident_kib: vec![None; programs.len()],
            beside: None,
            programs,
            sent: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Compares it with the case of that name.
    pub(crate) fn beside(mut self, name: &str) -> Self {
        self.beside = Some(name.to_owned());
        self
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
        for (most, program) in self.resident_kib.iter_mut().zip(&self.programs) {
            *most = program.resident_kib().max(*most);
        }
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
        let (shed, lost) = self.sent.iter().fold((0, 0), |(shed, lost), sent| {
            (shed + sent.shed, lost + sent.lost)
        });
        let good = float(requests.saturating_sub(shed + lost));
        let mib = |kib: &Option<u64>| kib.map(|kib| float(kib) / 1_024.0);
        let busy = |busy: &Duration| (!busy.is_zero()).then(|| busy.as_secs_f64() * 1e6 / count);
        Cost {
            name: self.name.clone(),
            beside: self.beside.clone(),
            requests,
            shed,
            lost,
            reopened: self.sent.iter().map(|sent| sent.reopened).sum(),
            good_per_second: good / self.elapsed.as_secs_f64().max(f64::EPSILON),
            busy_us: self.busy.iter().map(busy).collect(),
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
            resident_mib: self.resident_kib.iter().map(mib).collect(),
        }
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Cost {
    pub(crate) fn good_per_second(&self) -> f64 {
        self.good_per_second
    }

    fn base<'c>(&self, rows: &'c [Self]) -> Option<&'c Self> {
        let name = self.beside.as_ref()?;
        rows.iter().find(|row| row.name == *name)
    }

    /// CPU time beyond that of the case beside it, and the part of its requests per second.
    fn compared(&self, rows: &[Self]) -> Option<(f64, f64)> {
        let base = self.base(rows)?;
        let (own, other) = (
            self.busy_us.first()?.as_ref()?,
            base.busy_us.first()?.as_ref()?,
        );
        Some((own - other, self.good_per_second / base.good_per_second))
    }
}

/// One line per case, as a table of Markdown.
pub(crate) fn print(rows: &[Cost]) {
    println!(
        "\n| {:<49} | {:>8} | {:>13} | {:>9} | {:>5} | {:>6} | {:>5} | {:>8} | {:>6} | {:>7} | {:>11} |",
        "what",
        "good/s",
        "CPU/req µs",
        "added µs",
        "rate",
        "shed",
        "lost",
        "reopened",
        "p50 µs",
        "p99 µs",
        "MiB"
    );
    println!(
        "|{:-<51}|{:->10}|{:->15}|{:->11}|{:->7}|{:->8}|{:->7}|{:->10}|{:->8}|{:->9}|{:->13}|",
        "", "", "", "", "", "", "", "", "", "", ""
    );
    for row in rows {
        let busy = joined(&row.busy_us, 2);
        let memory = joined(&row.resident_mib, 1);
        let (added, rate) = match row.compared(rows) {
            Some((added, rate)) => (format!("{added:.2}"), format!("{rate:.2}")),
            None => <(String, String)>::default(),
        };
        println!(
            "| {:<49} | {:>8.0} | {busy:>13} | {added:>9} | {rate:>5} | {:>6} | {:>5} | {:>8} | {:>6} | {:>7} | {memory:>11} |",
            row.name, row.good_per_second, row.shed, row.lost, row.reopened, row.p50_us, row.p99_us
        );
    }
}

/// `1.25 + 3.50`, one number per program.
fn joined(numbers: &[Option<f64>], digits: usize) -> String {
    let numbers = numbers.iter().flatten();
    let texts: Vec<String> = numbers.map(|number| format!("{number:.digits$}")).collect();
    texts.join(" + ")
}

pub(crate) fn json(rows: &[Cost]) -> Vec<Value> {
    rows.iter()
        .map(|row| {
            let compared = row.compared(rows);
            json!({
                "name": row.name,
                "beside": row.beside,
                "requests": row.requests,
                "shed": row.shed,
                "lost": row.lost,
                "reopened": row.reopened,
                "good_per_second": row.good_per_second,
                "cpu_us_per_request": row.busy_us,
                "added_cpu_us": compared.map(|(added, _)| added),
                "part_of_rate": compared.map(|(_, part)| part),
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
        .filter_map(|row| Some((row.name.as_str(), *row.busy_us.first()?.as_ref()?)))
        .collect();
    let longest = bars.iter().map(|(_, us)| *us).fold(1.0, f64::max);
    let height = 40 + 34 * u32::try_from(bars.len())?;
    let root = SVGBackend::new(path, (980, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = ("sans-serif", 15).into_font();
    root.draw_text("CPU time per request (µs)", &style.clone().into(), (10, 10))?;
    for (n, (name, us)) in bars.iter().enumerate() {
        let top = 40 + 34 * i32::try_from(n)?;
        // The bars have 480 pixels.
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 480")]
        let end = 380 + (us / longest * 480.0) as i32;
        root.draw(&Rectangle::new(
            [(380, top), (end, top + 22)],
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
