//! Examples, then properties.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

fn at(start: Instant, monotonic_ms: u64, wall_ms: i64) -> Moment {
    let base = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let distance = Duration::from_millis(wall_ms.unsigned_abs());
    Moment {
        monotonic: start + Duration::from_millis(monotonic_ms),
        wall: if wall_ms < 0 {
            base - distance
        } else {
            base + distance
        },
    }
}

fn token(start: Instant, lifetime_s: u64) -> Lifetime {
    let lifetime = Duration::from_secs(lifetime_s);
    Lifetime::new(at(start, 0, 0), lifetime, &RefreshPolicy::default(), 0.0)
}

/// A22, A23, B21, B22, B23
#[test]
fn every_lifetime_has_its_three_points() {
    let start = Instant::now();
    // lifetime, refresh, leeway, expiry: all in milliseconds after sending
    for (lifetime_s, refresh, critical, expiry) in [
        (0, 0, 0, 0),
        (1, 500, 800, 1_000),
        (2, 1_000, 1_600, 2_000),
        (5, 2_500, 4_000, 5_000),
        (10, 5_000, 8_000, 10_000),
        (20, 10_000, 16_000, 20_000),
        (60, 45_000, 48_000, 60_000),
        (300, 225_000, 270_000, 300_000),
        (3_600, 3_300_000, 3_570_000, 3_600_000),
        (86_400, 86_100_000, 86_370_000, 86_400_000),
        (1_000_000_000, 86_100_000, 86_370_000, 86_400_000),
    ] {
        let token = token(start, lifetime_s);
        for (after, state) in [
            (0, Freshness::Fresh),
            (refresh, Freshness::Stale),
            (critical, Freshness::Critical),
            (expiry, Freshness::Expired),
        ] {
            let now = at(start, after, i64::try_from(after).unwrap());
            let expected = if after == expiry {
                Freshness::Expired
            } else {
                state
            };
            assert_eq!(
                token.freshness(now),
                expected,
                "{lifetime_s} s, at {after} ms"
            );
            if after > 0 {
                let just_before = at(start, after - 1, i64::try_from(after - 1).unwrap());
                assert!(
                    token.freshness(just_before) < state,
                    "{lifetime_s} s, before {after} ms"
                );
            }
        }
    }
}

/// B13, B14
#[test]
fn either_clock_can_end_a_lifetime_and_neither_can_stretch_it() {
    let start = Instant::now();
    let token = token(start, 300);
    // The machine slept: only the wall clock went on.
    assert_eq!(token.freshness(at(start, 10, 300_000)), Freshness::Expired);
    // The wall clock was stepped back an hour: the monotonic clock still counts.
    assert_eq!(
        token.freshness(at(start, 300_000, -3_300_000)),
        Freshness::Expired
    );
    assert_eq!(token.freshness(at(start, 10, -3_600_000)), Freshness::Fresh);
    // The refresh is due at the very moment that either clock reaches, and not before.
    let stale = [(225_000, 224_999), (224_999, 225_000), (225_000, 225_000)];
    for (monotonic_ms, wall_ms) in stale {
        let state = token.freshness(at(start, monotonic_ms, wall_ms));
        assert_eq!(state, Freshness::Stale, "{monotonic_ms} {wall_ms}");
    }
    let before = token.freshness(at(start, 224_999, 224_999));
    assert_eq!(before, Freshness::Fresh);
    // Stepped forward an hour: not served, although little time passed.
    assert_eq!(
        token.freshness(at(start, 10, 3_600_000)),
        Freshness::Expired
    );
}

/// B10
#[test]
fn jitter_moves_the_refresh_later_by_at_most_a_tenth_of_the_margin() {
    let start = Instant::now();
    let policy = RefreshPolicy::default();
    let hour = Duration::from_secs(3_600);
    for random in [0.0, 0.25, 0.5, 0.999] {
        let token = Lifetime::new(at(start, 0, 0), hour, &policy, random);
        let refresh = token.until_stale(at(start, 0, 0));
        // A margin of five minutes, of which a tenth is random.
        let expected = 3_300.0 + 30.0 * random;
        assert!((refresh.as_secs_f64() - expected).abs() < 0.001, "{random}");
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..4_000_u64).prop_map(Duration::from_millis),
        (0..100_000_u64).prop_map(Duration::from_secs),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, ns)| Duration::new(s, ns)),
        Just(Duration::MAX),
    ]
}

fn any_policy() -> impl Strategy<Value = RefreshPolicy> {
    let durations = (
        any_duration(),
        any_duration(),
        any_duration(),
        any_duration(),
    );
    let margin = prop_oneof![0.0..1.0_f64, Just(1.0_f64.next_down())];
    (margin, durations).prop_map(
        |(margin, (min_margin, max_margin, max_leeway, max_lifetime))| RefreshPolicy {
            margin,
            min_margin,
            max_margin,
            max_leeway,
            max_lifetime,
            ..RefreshPolicy::default()
        },
    )
}

fn any_token() -> impl Strategy<Value = (Instant, Lifetime)> {
    (any_duration(), any_policy(), 0.0..1.0_f64).prop_map(|(lifetime, policy, random)| {
        let start = Instant::now();
        let sent = at(start, 0, 0);
        (start, Lifetime::new(sent, lifetime, &policy, random))
    })
}

/// Milliseconds after sending: near the ends of short lifetimes, or years away.
fn any_distance() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_000_u64, 0..100_000_000_u64, 0..4_000_000_000_000_u64]
}

/// The same, before or after.
fn any_step() -> impl Strategy<Value = i64> {
    (any_distance(), any::<bool>()).prop_map(|(distance, back)| {
        let distance = i64::try_from(distance).unwrap();
        // Not before 1970, where the example's clock is 63 years away from.
        if back {
            -(distance % 1_900_000_000_000)
        } else {
            distance
        }
    })
}

proptest! {
    /// A23, B23
    #[test]
    fn nothing_overflows_and_the_points_keep_their_order(
        lifetime in any_duration(),
        policy in any_policy(),
        random in 0.0..1.0_f64,
    ) {
        let start = Instant::now();
        let sent = at(start, 0, 0);
        let token = Lifetime::new(sent, lifetime, &policy, random);
        prop_assert!(token.refresh_after <= token.critical_after);
        prop_assert!(token.critical_after <= token.expires_after);
        prop_assert_eq!(token.total(), lifetime.min(policy.max_lifetime).min(LONGEST));
        prop_assert_eq!(token.expires_at(), sent.wall + token.total());
        // The refresher's timer.
        let _ = start + token.until_stale(sent);
    }

    /// B13, B14
    #[test]
    fn a_token_is_expired_exactly_from_its_end_by_either_clock(
        (start, token) in any_token(),
        monotonic_ms in any_distance(),
        wall_ms in any_step(),
    ) {
        let now = at(start, monotonic_ms, wall_ms);
        let by_monotonic = Duration::from_millis(monotonic_ms) >= token.total();
        let by_wall = wall_ms >= 0 && u128::from(wall_ms.unsigned_abs()) * 1_000_000 >= token.total().as_nanos();
        let expired = token.freshness(now) == Freshness::Expired;
        prop_assert_eq!(expired, by_monotonic || by_wall);
        prop_assert_eq!(token.until_expiry(now).is_zero(), expired);
    }

    /// B13
    #[test]
    fn states_only_move_forward_as_either_clock_does(
        (start, token) in any_token(),
        monotonic_ms in any_distance(),
        wall_ms in any_step(),
        monotonic_passes_ms in any_distance(),
        wall_passes_ms in any_distance(),
    ) {
        let before = at(start, monotonic_ms, wall_ms);
        let after = at(
            start,
            monotonic_ms + monotonic_passes_ms,
            wall_ms + i64::try_from(wall_passes_ms).unwrap(),
        );
        prop_assert!(token.freshness(before) <= token.freshness(after));
        prop_assert!(token.age(before) <= token.age(after));
        prop_assert!(token.until_stale(before) >= token.until_stale(after));
        prop_assert!(token.until_expiry(before) >= token.until_expiry(after));
    }

    /// B2, B22
    #[test]
    fn two_seconds_or_more_are_refreshed_before_their_end_and_at_most_once_a_second(
        lifetime in any_duration(),
        random in 0.0..1.0_f64,
    ) {
        let lifetime = lifetime.max(Duration::from_secs(2));
        let start = Instant::now();
        let token = Lifetime::new(at(start, 0, 0), lifetime, &RefreshPolicy::default(), random);
        // Before callers would wait for it, too.
        prop_assert!(token.refresh_after < token.critical_after);
        prop_assert!(token.critical_after < token.expires_after);
        prop_assert!(token.refresh_after >= Duration::from_secs(1));
    }

    /// B10, B21
    #[test]
    fn margin_and_leeway_are_what_the_defaults_say(
        lifetime_s in prop_oneof![0..100_u64, 0..100_000_u64, any::<u64>()],
        random in 0.0..1.0_f64,
    ) {
        let start = Instant::now();
        let lifetime = Duration::from_secs(lifetime_s);
        let token = Lifetime::new(at(start, 0, 0), lifetime, &RefreshPolicy::default(), random);
        // In whole milliseconds, without the code's floating point.
        let lifetime_ms = lifetime_s.min(24 * 3_600) * 1_000;
        let longest_ms = (lifetime_ms / 4).max((lifetime_ms / 2).min(10_000)).min(300_000);
        let shortest_ms = longest_ms * 9 / 10;
        let margin = token.expires_after - token.refresh_after;
        prop_assert!(margin <= Duration::from_millis(longest_ms));
        prop_assert!(margin >= Duration::from_millis(shortest_ms));
        let leeway = token.expires_after - token.critical_after;
        prop_assert_eq!(leeway, Duration::from_millis((lifetime_ms / 5).min(30_000)));
    }
}
