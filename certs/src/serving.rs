//! The slot that holds what is served now.
//!
//! A handshake that begins after a swap gets the new certificate; one that has begun, and every open
//! connection, goes on with the old. What cannot be served never gets in: the slot keeps what it has.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::inspect::{Details, written};
use crate::pair::{Pair, PairError};

/// What is served, swapped as a whole. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct ServingCertificate {
    // Held for the copy of one pointer or of a small struct, so a handshake never waits for a reload.
    served: RwLock<Option<Arc<CertifiedKey>>>,
    status: RwLock<Status>,
}

/// How it stands with the serving certificate: what metrics, readiness and log lines are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What the served certificate says; nothing while there is none.
    pub serving: Option<Details>,
    /// When what was offered was last found good: the served certificate itself counts.
    pub last_good: Option<SystemTime>,
    /// Number of offered or fetched certificates that could not be used, since the start.
    pub failures: u64,
    /// The sentence of the last failure, until something good comes.
    pub last_failure: Option<String>,
    /// How many seconds the clock of the API server, which verifies, is ahead of ours; zero if it is
    /// not known.
    pub verifier_ahead: i64,
}

/// Less than this is the time that an answer takes to come.
const SAME_CLOCK: Duration = Duration::from_secs(5);

impl Status {
    /// Our clock's `now` on the clock of those who verify.
    fn verified(&self, now: SystemTime) -> SystemTime {
        let distance = Duration::from_secs(self.verifier_ahead.unsigned_abs());
        if distance < SAME_CLOCK {
            return now;
        }
        let shifted =
            if self.verifier_ahead > 0 { now.checked_add(distance) } else { now.checked_sub(distance) };
        shifted.unwrap_or(now)
    }

    /// Ready means a certificate that is valid when our clock says `now`.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        let now = self.verified(now);
        self.serving.as_ref().is_some_and(|serving| serving.is_valid_at(now))
    }

    /// Is less than a quarter of its lifetime left? Then somebody should have renewed it long ago.
    pub fn is_ending_at(&self, now: SystemTime) -> bool {
        let now = self.verified(now);
        self.serving.as_ref().is_some_and(|serving| serving.remaining(now) < serving.lifetime() / 4)
    }

    /// What to say in the log when the end comes near or is passed.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let serving = self.serving.as_ref()?;
        let ours = now;
        let now = self.verified(ours);
        let end = written(serving.not_after);
        if now > serving.not_after {
            return Some(format!(
                "the serving certificate expired at {end}: API servers refuse it, and this replica is not ready \
                 until it has another"
            ));
        }
        if now < serving.not_before {
            let begin = written(serving.not_before);
            return Some(format!("the serving certificate is valid from {begin} on only: check the clock"));
        }
        self.is_ending_at(ours).then(|| {
            format!(
                "less than a quarter of the serving certificate's lifetime is left (until {end}) and no newer one \
                 came: see why its renewal fails"
            )
        })
    }

    /// What is left of the served certificate at `now`; zero without one.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        let now = self.verified(now);
        self.serving.as_ref().map_or(Duration::ZERO, |serving| serving.remaining(now))
    }
}

impl ServingCertificate {
    /// An empty slot: handshakes fail until something is offered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `pair` from the next handshake on, when the clock agrees; otherwise what is served stays.
    /// The caller counts what was refused, with [`ServingCertificate::failed`].
    pub fn offer(&self, pair: &Pair, now: SystemTime) -> Result<(), PairError> {
        pair.check_time(now)?;
        *self.served.write() = Some(pair.served());
        let mut status = self.status.write();
        status.serving = Some(pair.leaf().clone());
        status.last_good = Some(now);
        status.last_failure = None;
        Ok(())
    }

    /// Notes that the source was looked at and still says what is served.
    pub fn confirm(&self, now: SystemTime) {
        let mut status = self.status.write();
        status.last_good = Some(now);
        status.last_failure = None;
    }

    /// Counts a failure to get or read a certificate; what is served stays.
    pub fn failed(&self, sentence: String) {
        let mut status = self.status.write();
        status.failures = status.failures.saturating_add(1);
        status.last_failure = Some(sentence);
    }

    /// Notes what the clock of the API server says while ours says `ours`.
    pub fn verified_by(&self, verifier: SystemTime, ours: SystemTime) {
        let seconds = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
        let ahead = match verifier.duration_since(ours) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        };
        self.status.write().verifier_ahead = ahead;
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.status.read().clone()
    }

    /// What the next handshake gets.
    pub fn served(&self) -> Option<Arc<CertifiedKey>> {
        self.served.read().clone()
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.served()
    }
}

/// Says a [`Status::warning`] in the log, and again every hour for as long as it holds.
#[derive(Debug, Default)]
pub(crate) struct Reminder {
    last: Option<SystemTime>,
}

impl Reminder {
    /// Logs what there is to say at `now`, if it was not said lately.
    pub(crate) fn log(&mut self, status: &Status, now: SystemTime) {
        let Some(warning) = status.warning(now) else {
            self.last = None;
            return;
        };
        // A clock that went back gives no distance: then it is said again.
        let lately = self.last.and_then(|last| now.duration_since(last).ok());
        if lately.is_none_or(|since| since >= Duration::from_secs(3600)) {
            self.last = Some(now);
            tracing::warn!("{warning}");
        }
    }
}
