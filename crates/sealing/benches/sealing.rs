//! What sealing, opening and signing 1 KiB take, beside AES-256-GCM-SIV and HMAC-SHA-256 alone.
//!
//! `cargo bench -p sealing` prints the table and writes it to `target/bench`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result and ends where it breaks"
)]

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, RandomizedNonceKey};
use aws_lc_rs::hmac;
use measure::{Row, Table, allocations, ratio, repeats, turn};
use sealing::Secrets;

const PLACE: &[u8] = b"__Host-session www.example.com";

fn main() {
    // What `cargo test --benches` passes: whether it runs, and not what comes out.
    let rounds = match std::env::args().any(|it| it == "--test") {
        true => 0,
        false => 500,
    };
    let secrets = Secrets::new(&[[1; 32], [2; 32]]).unwrap();
    let (sealer, mac) = (secrets.purpose("bench"), secrets.mac("bench"));
    let value = vec![7; 1024];
    let sealed = sealer.seal(&value, PLACE).unwrap();
    let aead = RandomizedNonceKey::new(&AES_256_GCM_SIV, &[1; 32]).unwrap();
    let mut buffer = value.clone();
    let mut cipher = || {
        aead.seal_in_place_separate_tag(Aad::from(PLACE), &mut buffer)
            .unwrap()
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
    let mut hmac = || hmac::sign(&key, &value);

    let mut table = Table::default();
    let (floor, goal) = ("sealing by the cipher alone", "≤ 5 µs");
    let mut seal = || sealer.seal(&value, PLACE).unwrap();
    table.rows.push(row(
        "seal 1 KiB",
        rounds,
        &mut seal,
        &mut cipher,
        floor,
        goal,
    ));
    let mut open = || sealer.open(&sealed, PLACE).unwrap();
    table.rows.push(row(
        "open 1 KiB",
        rounds,
        &mut open,
        &mut cipher,
        floor,
        goal,
    ));
    let mut sign = || mac.sign(&value);
    table
        .rows
        .push(row("sign 1 KiB", rounds, &mut sign, &mut hmac, "HMAC", ""));
    let one = Secrets::new(&[[1; 32]]).unwrap();
    let mut derive = || one.mac("bench");
    let what = "derive the key of one secret";
    table
        .rows
        .push(row(what, rounds, &mut derive, &mut hmac, "HMAC", ""));
    println!("{table}");
    if rounds > 0 {
        let folder = measure::folder(env!("CARGO_TARGET_TMPDIR"));
        table.write(&folder, "sealing").unwrap();
    }
}

fn row<R, B>(
    what: &str,
    rounds: usize,
    run: &mut impl FnMut() -> R,
    base: &mut impl FnMut() -> B,
    floor: &str,
    goal: &str,
) -> Row {
    let ns = (rounds > 0).then(|| {
        let count = repeats(Duration::from_millis(2), run);
        let turns = (0..9).map(|_| turn(count, run) / f64::from(count));
        turns.fold(f64::MAX, f64::min) * 1e9
    });
    Row {
        what: what.to_owned(),
        ns,
        ratio: ratio(rounds, run, base).map(|ratio| (ratio, floor.to_owned())),
        allocations: Some(allocations(run)),
        goal: goal.to_owned(),
        ..Row::default()
    }
}
