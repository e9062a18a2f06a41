//! The table and the JSON.

use std::time::Duration;

use dev_idp::RequestCounts;
use serde_json::{Value, json};

use crate::provider::Events;
use crate::record::Summary;

/// From here on the growth of memory is shown.
const LONG_ENOUGH: Duration = Duration::from_secs(15 * 60);

pub(crate) fn print(summary: &Summary, fetches: &RequestCounts, events: &Events) {
    let counts = &summary.counts;
    let [p50, p99, p999, max] = summary.latency.map(milliseconds);
    let row = |what: &str, value: String, goal: &str| {
        println!("| {what:<44} | {value:>16} | {goal:<6} |");
    };
    println!();
    row("what", "count".into(), "goal");
    row("---", "---".into(), "---");
    row("good requests sent", sent(summary).to_string(), "");
    row("  answered with 200", counts.answered.to_string(), "");
    row("  shed (503 with Retry-After)", counts.shed.to_string(), "");
    row("  lost", counts.lost.to_string(), "0");
    row("hostile requests refused", counts.refused.to_string(), "");
    row("  wrongly accepted", counts.accepted.to_string(), "0");
    row(
        "secrets and tokens in the logs",
        counts.canaries.to_string(),
        "0",
    );
    row("latency p50", format!("{p50:.2} ms"), "");
    row("latency p99", format!("{p99:.2} ms"), "");
    row("latency p99.9", format!("{p999:.2} ms"), "");
    row("latency, longest", format!("{max:.2} ms"), "");
    for (service, name) in ["public-data", "protected-data"].into_iter().enumerate() {
        if let Some((slope, largest)) = summary.memory(service) {
            row(
                &format!("memory of {name}"),
                format!("{largest:.1} MiB"),
                "≤ 20",
            );
            // In minutes, buffers that are made once look like growth.
            let growth = if summary.duration >= LONG_ENOUGH {
                format!("{slope:.2} MiB/h")
            } else {
                "run too short".to_owned()
            };
            row("  growth in the second half", growth, "");
        }
    }
    row("token requests", fetches.token.to_string(), "");
    row("key set requests", fetches.jwks.to_string(), "");
    row("overlapping rotations", events.overlapping.to_string(), "");
    row("hard rotations", events.hard.to_string(), "");
    row(
        "outages of the provider, 30 s each",
        events.outages.to_string(),
        "",
    );
}

pub(crate) fn json(summary: &Summary, fetches: &RequestCounts, events: &Events) -> Value {
    let counts = &summary.counts;
    let memory = |service| {
        let (slope, largest) = summary.memory(service)?;
        Some(json!({ "largest_mib": largest, "growth_mib_per_hour": slope }))
    };
    json!({
        "duration_s": summary.duration.as_secs(),
        "good": {
            "sent": sent(summary),
            "answered": counts.answered,
            "shed": counts.shed,
            "lost": counts.lost,
        },
        "hostile": {
            "refused": counts.refused,
            "accepted": counts.accepted,
            "unanswered": counts.unanswered,
        },
        "losses": summary.losses.iter().map(|loss| json!({
            "second": loss.second,
            "after_ms": loss.after.as_millis(),
            "what": loss.what,
        })).collect::<Vec<_>>(),
        "canaries": counts.canaries,
        "latency_us": {
            "p50": summary.latency[0],
            "p99": summary.latency[1],
            "p99.9": summary.latency[2],
            "max": summary.latency[3],
        },
        "memory": { "public-data": memory(0), "protected-data": memory(1) },
        "requests": {
            "token": fetches.token,
            "jwks": fetches.jwks,
            "metadata": fetches.metadata,
        },
        "rotations": { "overlapping": events.overlapping, "hard": events.hard },
        "outages": events.outages,
        "seconds": summary.seconds.iter().map(|second| json!({
            "p50_us": second.p50,
            "p99_us": second.p99,
            "max_us": second.max,
            "resident_kib": second.resident,
        })).collect::<Vec<_>>(),
    })
}

fn sent(summary: &Summary) -> u64 {
    summary.counts.answered + summary.counts.shed + summary.counts.lost
}

fn milliseconds(us: u64) -> f64 {
    f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1e3
}
