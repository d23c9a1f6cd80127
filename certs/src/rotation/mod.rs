//! What to do next about managed certificates: a function of what was read, and nothing else.
//!
//! Several replicas run this at the same time on one Secret and one webhook configuration, with no
//! leader. What they promise together:
//!
//! - **No replica shows a certificate that the bundle does not cover.** A replica takes a certificate only
//!   when it has seen its CA in the bundle ([`to_serve`]); a CA signs only after it stood in the bundle
//!   for a while; a CA leaves the bundle only when the last certificate it can have signed has ended.
//! - **Every write is conditional** on the version that was read: of two replicas one wins, the other
//!   reads again and takes what it finds. The webhook configuration is read *before* the Secret, so a
//!   bundle made from an old Secret can never replace one made from a newer one.
//! - **Nothing is thrown away on a guess.** Where the Secret was deleted, edited or put back from a backup,
//!   every CA of the bundle is kept trusted for the time that a certificate of it may still be served.

mod draft;
mod settings;
mod vault;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

pub use settings::{Settings, SettingsError};
pub use vault::{Data, Fault, KEYS, Retired, Vault};

use crate::inspect::Details;
use crate::issue::IssueError;
use crate::pair::Pair;
use draft::Draft;

/// Whom the API servers trust, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It could not be read: nothing that depends on it may change.
    Unknown,
    /// The `caBundle` of each entry that is ours. Without any entry no API server calls us, and
    /// whatever we show is fine.
    Bundles(Vec<Vec<u8>>),
}

impl Trust {
    /// Is the CA in every bundle?
    pub fn covers(&self, authority: &CertificateDer<'_>) -> bool {
        match self {
            Self::Unknown => false,
            Self::Bundles(bundles) => {
                bundles.iter().all(|bundle| certificates(bundle).iter().any(|one| one == authority))
            }
        }
    }

    /// Every CA of any bundle, the newest first, whatever the clock says about it.
    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        let Self::Bundles(bundles) = self else {
            return Vec::new();
        };
        let mut authorities: Vec<(SystemTime, CertificateDer<'static>)> = Vec::new();
        for certificate in bundles.iter().flat_map(|bundle| certificates(bundle)) {
            let is_new = authorities.iter().all(|(_, known)| *known != certificate);
            if let Ok(details) = Details::of(&certificate)
                && details.is_authority
                && is_new
            {
                authorities.push((details.not_before, certificate));
            }
        }
        authorities.sort_by_key(|(not_before, _)| std::cmp::Reverse(*not_before));
        authorities.into_iter().map(|(_, certificate)| certificate).collect()
    }

    /// Is the CA in any bundle?
    fn mentions(&self, authority: &CertificateDer<'_>) -> bool {
        match self {
            Self::Unknown => true,
            Self::Bundles(bundles) => {
                bundles.iter().any(|bundle| certificates(bundle).iter().any(|one| one == authority))
            }
        }
    }
}

/// The certificates of a bundle, as an API server would read them: what is broken is skipped.
pub fn certificates(bundle: &[u8]) -> Vec<CertificateDer<'static>> {
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::pem_slice_iter(bundle).flatten().collect()
}

/// What this replica shows now, and the CA that clients need for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The pair.
    pub pair: Arc<Pair>,
    /// Its CA.
    pub authority: CertificateDer<'static>,
}

/// What this replica has seen for how long, without a break. Where others need time to hear of a change,
/// it waits: an API server for a CA in the bundle, another replica for the certificate that it is to show
/// instead of an old CA's. A clock that jumps cannot shorten that time, for it begins after the jump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// The next CA stands in the bundle.
    trusted: Option<(CertificateDer<'static>, SystemTime)>,
    /// The time of these retired CAs is over.
    over: Vec<(CertificateDer<'static>, SystemTime)>,
}

impl Witness {
    /// Looks again: what is unchanged continues, the rest starts over or ends.
    pub fn look(&mut self, vault: &Vault, trust: &Trust, now: SystemTime) {
        // A clock that went back starts the wait again.
        let since = |before: Option<SystemTime>| before.filter(|since| *since <= now).unwrap_or(now);
        let next = vault.next.as_ref().map(|next| next.certificate());
        let before = self.trusted.take();
        self.trusted = next.filter(|next| trust.covers(next)).map(|next| {
            let before = before.filter(|(seen, _)| seen == next).map(|(_, since)| since);
            (next.clone(), since(before))
        });
        let over = std::mem::take(&mut self.over);
        let is_over = vault.retired.iter().filter(|retired| retired.is_over(now));
        self.over = is_over
            .map(|Retired { certificate, .. }| {
                let before = over.iter().find(|(seen, _)| seen == certificate).map(|(_, since)| *since);
                (certificate.clone(), since(before))
            })
            .collect();
    }

    fn is_trusted_for(&self, wait: Duration, now: SystemTime) -> bool {
        self.trusted.as_ref().is_some_and(|(_, since)| age(*since, now) >= wait)
    }

    fn is_over_for(&self, retired: &Retired, wait: Duration, now: SystemTime) -> bool {
        self.over.iter().any(|(seen, since)| *seen == retired.certificate && age(*since, now) >= wait)
    }

    /// How much of a wait is left, if something waits.
    pub fn remaining(&self, wait: Duration, now: SystemTime) -> Option<Duration> {
        let waiting = self.trusted.iter().chain(&self.over);
        waiting.map(|(_, since)| wait.saturating_sub(age(*since, now))).min()
    }
}

fn age(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

/// Everything that decides.
#[derive(Debug)]
pub struct Situation<'a> {
    /// Whom the API servers trust. Read first.
    pub trust: &'a Trust,
    /// What the Secret holds; an empty vault if there is none.
    pub vault: &'a Vault,
    /// The data it was read from.
    pub data: &'a Data,
    /// What is wrong with it.
    pub faults: &'a [Fault],
    /// What this replica shows.
    pub shown: Option<&'a Shown>,
    /// What this replica has seen for how long.
    pub witness: &'a Witness,
    /// The clock of those who verify: the API server's.
    pub now: SystemTime,
}

/// Why the Secret is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is none yet.
    First,
    /// Somebody edited it, or it was cut off: the faults.
    Repaired(String),
    /// It did not know a CA whose certificates may still be shown.
    Remembered,
    /// The serving certificate was renewed.
    Renewed,
    /// A next CA was made.
    Staged,
    /// The next CA signs from now on.
    Promoted,
    /// A retired CA is trusted no more.
    Dropped,
    /// Only the form was not ours.
    Rewritten,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::First => "made the first CA and serving certificate",
            Self::Repaired(faults) => return write!(formatter, "repaired the Secret: {faults}"),
            Self::Remembered => "kept trusting a CA that the Secret did not know, for as long as a certificate of it may be served",
            Self::Renewed => "renewed the serving certificate",
            Self::Staged => "made the next CA; it signs once the bundle has it",
            Self::Promoted => "the next CA signs from now on",
            Self::Dropped => "a retired CA is no longer trusted",
            Self::Rewritten => "restored the Secret's content",
        })
    }
}

/// What to do next; afterwards everything is read again.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing is due.
    Rest,
    /// Write the Secret, if it is still the one that was read.
    Write(Box<Vault>, Reason),
    /// Write this bundle into the webhook configuration, if it is still the one that was read.
    Publish(String),
}

/// Decides. Issues what it needs, so the only thing it takes from outside is randomness.
pub fn next(situation: &Situation<'_>, settings: &Settings) -> Result<Action, IssueError> {
    let mut draft = Draft::of(situation, settings);
    if *situation.trust == Trust::Unknown {
        // Blindly, only what leaves the CAs as they are: another certificate of the one that signs.
        if situation.faults.is_empty() {
            draft.renew_serving()?;
        }
        return Ok(draft.written());
    }
    draft.mend();
    draft.settle_signer()?;
    draft.renew_serving()?;
    draft.forget_retired();
    let Draft { vault, reason, .. } = draft;
    if let Some(reason) = reason {
        return Ok(Action::Write(Box::new(vault), reason));
    }
    if vault.data() != *situation.data {
        return Ok(Action::Write(Box::new(vault), Reason::Rewritten));
    }
    let Situation { witness, now, .. } = situation;
    let wanted = vault.bundle_without(|retired| witness.is_over_for(retired, settings.settle, *now));
    // Another replica may have waited long enough already: that is not to be undone.
    let least = vault.bundle_without(|retired| retired.is_over(*now));
    let is_fine = |bundle: &Vec<u8>| bundle == wanted.as_bytes() || bundle == least.as_bytes();
    Ok(match situation.trust {
        Trust::Bundles(bundles) if !bundles.iter().all(is_fine) => Action::Publish(wanted),
        _ => Action::Rest,
    })
}

/// What a person may ask for out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A new serving certificate.
    Renew,
    /// A new CA. It signs once the bundle has it, which the replicas make sure of.
    RollAuthority,
}

/// The write that carries out an order; [`Action::Rest`] where it is under way already, or where the
/// signing CA is not trusted yet and a certificate of it would be refused.
pub fn ordered(order: Order, situation: &Situation<'_>, settings: &Settings) -> Result<Action, IssueError> {
    let mut draft = Draft::of(situation, settings);
    match (order, draft.vault.signer.clone()) {
        (Order::Renew, Some(signer)) if situation.trust.covers(signer.certificate()) => {
            draft.serve_again(&signer)?;
            draft.because(Reason::Renewed);
        }
        (Order::RollAuthority, Some(_)) if draft.vault.next.is_none() => {
            draft.vault.next = Some(draft.new_authority()?);
            draft.because(Reason::Staged);
        }
        _ => {}
    }
    Ok(draft.written())
}

/// What this replica should show from now on: the Secret's pair once its CA is trusted.
pub fn to_serve(vault: &Vault, trust: &Trust, shown: Option<&Shown>, now: SystemTime) -> Option<Shown> {
    let pair = vault.serving.as_ref().filter(|pair| pair.check_time(now).is_ok())?;
    if shown.is_some_and(|shown| shown.pair == *pair) {
        return None;
    }
    let authority = vault.signer_of(pair)?;
    // A CA that covers what we show already covers its next certificate too, whatever can be read.
    let is_same = shown.is_some_and(|shown| shown.authority == *authority);
    (is_same || trust.covers(authority))
        .then(|| Shown { pair: Arc::clone(pair), authority: authority.clone() })
}
