//! What happens in a script.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;
use jwks_validator::JwtValidator;

use super::observer::{Issuer, Observer, Trace};
use super::source::{Reply, Source, Weather, weather};
use super::world::{
    CALM, ISSUERS, KEYS, KIDS, MAX_LIFETIME, TROUBLED, Token, WORLD, WallClock, invented, kid,
};
use crate::fake_source::elapse;
use crate::signer::{AUDIENCE, NOW, at};

pub(super) struct Script {
    rng: Rng,
    observer: Observer,
}

impl Script {
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::with_seed(seed);
        let max_stale = Duration::from_secs([20, 45, 120, 600, 3_600][rng.usize(..5)]);
        let clock = WallClock::new();
        let issuers = [TROUBLED, CALM]
            .map(|issuer| Issuer::new(Source::new(issuer, clock.clone()), max_stale));
        let validator = JwtValidator::builder()
            .issuer(ISSUERS[TROUBLED], issuers[TROUBLED].source.clone())
            .issuer(ISSUERS[CALM], issuers[CALM].source.clone())
            .audience(AUDIENCE)
            .max_lifetime(MAX_LIFETIME)
            .max_stale(max_stale)
            .verified_cache(if rng.u8(..4) > 0 { 256 } else { 0 })
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        Self {
            rng,
            observer: Observer::new(validator, clock, issuers, trace),
        }
    }

    pub(super) async fn run(mut self) {
        if self.rng.bool() {
            self.change_weather();
        }
        self.observer.caller.validator.start();
        for _ in 0..self.rng.usize(4..10) {
            self.step().await;
            self.observer.look_around().await;
            for _ in 0..self.rng.usize(1..3) {
                let issuer = self.any_issuer();
                self.probe(issuer).await;
            }
        }
        self.observer.shut_down().await;
        self.probe(TROUBLED).await;
        self.probe(CALM).await;
    }

    async fn step(&mut self) {
        match self.rng.u8(..24) {
            0..=3 => self.change_weather(),
            4..=7 => self.rotate(),
            8..=13 => {
                let longest_ms = [10, 1_000, 5_000, 31_000, 130_000, 400_000][self.rng.usize(..6)];
                let duration = Duration::from_millis(self.rng.u64(..longest_ms));
                self.observer.note(format!("{duration:?} pass"));
                elapse(duration).await;
            }
            14 => self.step_clock(),
            15 => self.revoke(),
            16 | 17 => self.flood().await,
            18 | 19 => self.crowd().await,
            20 => self.refresh().await,
            21 => self.replace_in_an_emergency().await,
            _ => {
                let issuer = self.any_issuer();
                let token = self.any_token(issuer);
                let patience = Duration::from_millis(self.rng.u64(..800));
                self.observer.give_up(issuer, &token, patience).await;
            }
        }
    }

    fn any_issuer(&mut self) -> usize {
        if self.rng.u8(..4) == 0 {
            CALM
        } else {
            TROUBLED
        }
    }

    fn change_weather(&mut self) {
        let weather = weather(&mut self.rng);
        self.observer.note(format!("{weather:?}"));
        self.observer.issuers[TROUBLED].source.change(weather);
        if self.rng.u8(..4) == 0 {
            self.observer.issuers[CALM].source.change(Weather {
                reply: Reply::Good,
                latency: Duration::ZERO,
                ..weather
            });
        }
    }

    fn rotate(&mut self) {
        let issuer = self.any_issuer();
        let mut published = self.observer.issuers[issuer].source.published();
        let key = self.rng.usize(..KEYS);
        match self.rng.u8(..6) {
            // With an overlap, in two steps.
            0 | 1 => published.push(key),
            2 if published.len() > 1 => drop(published.remove(0)),
            // Without.
            3 => published = vec![key],
            // Other material under the same id.
            4 => published[0] = (published[0] + KIDS) % KEYS,
            _ => published = (0..3).map(|_| self.rng.usize(..KEYS)).collect(),
        }
        self.publish(issuer, published);
    }

    fn publish(&mut self, issuer: usize, keys: Vec<usize>) {
        self.observer.note(format!("{issuer} publishes {keys:?}"));
        self.observer.issuers[issuer].source.publish(keys);
    }

    fn step_clock(&mut self) {
        let by = Duration::from_secs(self.rng.u64(..4_000));
        let clock = &self.observer.caller.clock.steps;
        match self.rng.u8(..10) {
            0 => clock.set(UNIX_EPOCH),
            1..=5 => clock.set(at(NOW)),
            6 | 7 => clock.advance(by),
            _ => clock.step_back(by),
        }
        self.observer
            .note(format!("the clock shows {}", self.observer.caller.now()));
    }

    fn revoke(&mut self) {
        let (issuer, key) = (self.any_issuer(), self.rng.usize(..KIDS));
        let is_revoked = !self.observer.issuers[issuer].history.revoked[key];
        self.set_revoked(issuer, key, is_revoked);
    }

    fn set_revoked(&mut self, issuer: usize, key: usize, is_revoked: bool) {
        let (validator, name) = (&self.observer.caller.validator, ISSUERS[issuer]);
        let was_revoked = &mut self.observer.issuers[issuer].history.revoked[key % KIDS];
        if is_revoked {
            validator.revoke_kid(name, &kid(key)).unwrap();
        } else {
            let changed = validator.unrevoke_kid(name, &kid(key)).unwrap();
            assert_eq!(changed, *was_revoked);
        }
        *was_revoked = is_revoked;
        self.observer
            .note(format!("{issuer} {}: revoked {is_revoked}", kid(key)));
    }

    /// Invented key ids: only budgets stand in their way.
    async fn flood(&mut self) {
        let issuer = self.any_issuer();
        for _ in 0..self.rng.usize(2..7) {
            let token = invented(issuer, self.rng.u32(..));
            self.observer.show(issuer, vec![token]).await;
        }
    }

    /// Several callers at once, with several tokens.
    async fn crowd(&mut self) {
        let issuer = self.any_issuer();
        let tokens = (0..4).map(|_| self.any_token(issuer)).collect();
        self.observer.show(issuer, tokens).await;
    }

    async fn probe(&mut self, issuer: usize) {
        let token = self.any_token(issuer);
        self.observer.show(issuer, vec![token]).await;
    }

    /// The issuer publishes another key alone, and the operator helps.
    async fn replace_in_an_emergency(&mut self) {
        let key = self.rng.usize(..KEYS);
        let old = self.observer.issuers[TROUBLED].source.published()[0];
        self.publish(TROUBLED, vec![key]);
        if self.rng.bool() && old % KIDS != key % KIDS {
            self.set_revoked(TROUBLED, old, true);
        }
        self.refresh().await;
    }

    /// The operator fetches, and callers come meanwhile.
    async fn refresh(&mut self) {
        let promised = self.observer.promised_refresh().await;
        let validator = self.observer.caller.validator.clone();
        let refreshing = tokio::spawn(async move { validator.refresh().await });
        self.crowd().await;
        let refreshed = refreshing.await.unwrap();
        self.observer.check_refresh(promised, &refreshed).await;
    }

    fn any_token(&mut self, issuer: usize) -> Arc<Token> {
        let rng = &mut self.rng;
        let tokens = &WORLD.tokens[issuer];
        let kinds = tokens.len() / KEYS;
        let accepted = &self.observer.issuers[issuer].accepted;
        match rng.u8(..16) {
            0..=5 if !accepted.is_empty() => Arc::clone(&accepted[rng.usize(..accepted.len())]),
            0..=9 => {
                let published = self.observer.issuers[issuer].source.published();
                let key = published[rng.usize(..published.len())];
                Arc::clone(&tokens[key * kinds + rng.usize(..kinds)])
            }
            10..=12 => Arc::clone(&tokens[rng.usize(..tokens.len())]),
            13 | 14 => {
                let forged = &WORLD.forged[issuer];
                Arc::clone(&forged[rng.usize(..forged.len())])
            }
            _ => invented(issuer, rng.u32(..)),
        }
    }
}
