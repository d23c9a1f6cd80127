//! The next state of the vault, step by step.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use super::{Action, Reason, Settings, Situation, Trust, Vault};
use crate::inspect::Details;
use crate::issue::{Authority, BACKDATED, IssueError};

/// How many CAs of a bundle are kept trusted when the Secret has forgotten them.
const MOST_ADOPTED: usize = 16;

/// A vault on its way to its next state. The first reason is the one that counts.
pub(super) struct Draft<'a> {
    pub(super) vault: Vault,
    situation: &'a Situation<'a>,
    settings: &'a Settings,
    pub(super) reason: Option<Reason>,
    /// Which CA of the vault signed what is served: found once, for it costs a signature's check.
    signed_by: Option<CertificateDer<'static>>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(situation: &'a Situation<'a>, settings: &'a Settings) -> Self {
        let vault = situation.vault.clone();
        let signed_by = vault.serving.as_ref().and_then(|serving| vault.signer_of(serving)).cloned();
        Self { vault, situation, settings, reason: None, signed_by }
    }

    /// The write of what changed, if anything did.
    pub(super) fn written(self) -> Action {
        match self.reason {
            Some(reason) => Action::Write(Box::new(self.vault), reason),
            None => Action::Rest,
        }
    }

    pub(super) fn because(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    /// Keeps trusting whatever may still be served, where the Secret has forgotten it.
    pub(super) fn mend(&mut self) {
        let now = self.situation.now;
        let is_empty = self.situation.vault == &Vault::default() && self.situation.faults.is_empty();
        if is_empty {
            self.because(Reason::First);
        }
        if !self.situation.faults.is_empty() {
            let sentences: Vec<_> =
                self.situation.faults.iter().map(|fault| fault.sentence.as_str()).collect();
            self.because(Reason::Repaired(sentences.join("; ")));
        }
        let is_damaged = self.reason.is_some();
        // More than a few is not a roll-over, and a Secret holds a megabyte.
        for authority in self.situation.trust.authorities().iter().take(MOST_ADOPTED) {
            let is_known = self.vault.authorities().any(|known| known == authority);
            if !is_known && (is_damaged || self.is_own(authority)) {
                self.retire(authority);
                self.because(Reason::Remembered);
            }
        }
        if let Some(shown) = self.situation.shown
            && shown.pair.check_time(now).is_ok()
            && self.vault.authorities().all(|known| *known != shown.authority)
        {
            self.retire(&shown.authority);
            self.because(Reason::Remembered);
        }
        if self.signed_by.is_none()
            && let Some(serving) = &self.vault.serving
        {
            self.signed_by = self.vault.signer_of(serving).cloned();
        }
    }

    /// Makes sure that there is a CA that may sign, and a next one in time.
    pub(super) fn settle_signer(&mut self) -> Result<(), IssueError> {
        let now = self.situation.now;
        if self.vault.next.as_ref().is_some_and(|next| !next.details().is_valid_at(now)) {
            // Made under a clock that was wrong.
            self.vault.next = Some(self.new_authority()?);
            self.because(Reason::Staged);
        }
        if let Some(signer) = self.vault.signer.clone()
            && !signer.details().is_valid_at(now)
        {
            self.vault.signer = None;
            self.retire(signer.certificate());
        }
        if self.vault.signer.is_none() {
            let promoted = self.is_next_ready() || !self.has_valid_serving();
            match self.vault.next.clone() {
                Some(next) if promoted => self.promote(next)?,
                Some(_) => {}
                None if self.has_valid_serving() => {
                    self.vault.next = Some(self.new_authority()?);
                    self.because(Reason::Staged);
                }
                // Nobody shows anything that counts: there is nothing to wait for.
                None => {
                    let authority = self.new_authority()?;
                    self.promote(authority)?;
                }
            }
            return Ok(());
        }
        match self.vault.next.clone() {
            Some(next) if self.is_next_ready() => self.promote(next)?,
            Some(_) => {}
            None => {
                let is_due = self.vault.signer.as_ref().is_some_and(|signer| {
                    // The second: somebody made serving certificates longer than the CA has left.
                    self.is_due(signer.details())
                        || signer.details().remaining(now) < self.settings.serving_lifetime
                });
                if is_due {
                    self.vault.next = Some(self.new_authority()?);
                    self.because(Reason::Staged);
                }
            }
        }
        Ok(())
    }

    fn promote(&mut self, next: Arc<Authority>) -> Result<(), IssueError> {
        self.vault.next = None;
        if let Some(signer) = self.vault.signer.take() {
            self.retire(signer.certificate());
        }
        self.serve(&next)?;
        self.vault.signer = Some(next);
        self.because(Reason::Promoted);
        Ok(())
    }

    pub(super) fn renew_serving(&mut self) -> Result<(), IssueError> {
        let Some(signer) = self.vault.signer.clone() else {
            return Ok(());
        };
        let is_valid = self.has_valid_serving();
        let is_same = self.signed_by.as_ref() == Some(signer.certificate());
        let is_good = self.vault.serving.as_ref().is_some_and(|serving| {
            is_valid && is_same && !self.is_due(serving.leaf()) && self.has_names(serving.leaf())
        });
        if is_good {
            return Ok(());
        }
        // While something valid is shown, the signer waits until it is trusted; with nothing to lose it
        // does not.
        if is_valid && !is_same && !self.situation.trust.covers(signer.certificate()) {
            return Ok(());
        }
        self.serve(&signer)?;
        self.because(Reason::Renewed);
        Ok(())
    }

    /// A certificate that it signed until now ends before a whole lifetime from now.
    fn retire(&mut self, authority: &CertificateDer<'static>) {
        self.vault.retire(authority, Some(self.situation.now + self.settings.serving_lifetime));
    }

    /// Forgets retired CAs whose time is over, once the bundle is without them: in the other order a
    /// CA of the bundle would be one that nobody knows, and kept for another while.
    pub(super) fn forget_retired(&mut self) {
        let Situation { now, trust, witness, .. } = *self.situation;
        let latest = now + self.settings.serving_lifetime;
        for retired in &mut self.vault.retired {
            // A time beyond that was written under a clock that was wrong, or edited.
            retired.until = Some(retired.until.map_or(latest, |until| until.min(latest)));
        }
        let before = self.vault.retired.len();
        let is_unregistered = *trust == Trust::Bundles(Vec::new());
        self.vault.drop_retired(|retired| {
            let has_waited = !is_unregistered || witness.is_over_for(retired, self.settings.settle, now);
            retired.is_over(now) && has_waited && !trust.mentions(&retired.certificate)
        });
        if self.vault.retired.len() < before {
            self.because(Reason::Dropped);
        }
    }

    pub(super) fn new_authority(&self) -> Result<Arc<Authority>, IssueError> {
        let Settings { authority_name, authority_lifetime, .. } = self.settings;
        Authority::generate(authority_name, *authority_lifetime, self.situation.now).map(Arc::new)
    }

    /// Signs what is served from now on.
    pub(super) fn serve(&mut self, signer: &Authority) -> Result<(), IssueError> {
        let Settings { names, serving_lifetime, .. } = self.settings;
        self.serve_for(signer, names, *serving_lifetime)
    }

    /// Signs another certificate that names whom the last one named: a person who asks for it may not
    /// know what the replicas were told.
    pub(super) fn serve_again(&mut self, signer: &Authority) -> Result<(), IssueError> {
        let Settings { names, serving_lifetime, .. } = self.settings;
        let last = self.vault.serving.as_ref().map(|serving| serving.leaf().names.clone());
        let names = last.filter(|last| names.iter().all(|name| last.contains(name)));
        match names {
            Some(names) => self.serve_for(signer, &names, *serving_lifetime),
            None => self.serve(signer),
        }
    }

    fn serve_for(
        &mut self,
        signer: &Authority,
        names: &[String],
        lifetime: Duration,
    ) -> Result<(), IssueError> {
        let pair = signer.sign(names, lifetime, self.situation.now)?;
        self.vault.serving = Some(Arc::new(pair));
        self.signed_by = Some(signer.certificate().clone());
        Ok(())
    }

    fn is_next_ready(&self) -> bool {
        self.situation.witness.is_trusted_for(self.settings.settle, self.situation.now)
    }

    fn is_due(&self, details: &Details) -> bool {
        let issued = details.not_before + BACKDATED;
        let lifetime = details.not_after.duration_since(issued).unwrap_or_default();
        let age = self.situation.now.duration_since(issued).unwrap_or_default();
        age.as_secs_f64() >= lifetime.as_secs_f64() * self.settings.renew_at
    }

    /// Did a program of our kind make it, by its name?
    fn is_own(&self, authority: &CertificateDer<'_>) -> bool {
        let own = format!("CN={} ", self.settings.authority_name);
        Details::of(authority).is_ok_and(|details| details.subject.starts_with(&own))
    }

    fn has_valid_serving(&self) -> bool {
        let serving = self.vault.serving.as_ref();
        self.signed_by.is_some()
            && serving.is_some_and(|serving| serving.check_time(self.situation.now).is_ok())
    }

    fn has_names(&self, details: &Details) -> bool {
        self.settings.names.iter().all(|name| details.names.contains(name))
    }
}
