//! Keeps managed certificates in order: reads, asks [`rotation`] what to do, does it, reads again.
//!
//! What it needs of a cluster is the small trait [`Cluster`]; [`crate::store::KubernetesCluster`] is the
//! real one, and the ten years of the tests run this very code on another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver::{Backoff, Failure, OnChange};
use tokio::sync::Notify;

use crate::issue::IssueError;
use crate::rotation::{
    self, Action, Data, Order, Settings, SettingsError, Shown, Situation, Trust, Vault, Witness,
};
use crate::serving::{Reminder, ServingCertificate};

/// One look makes at most so many writes; more would be two programs at odds.
const MOST_STEPS: usize = 8;

/// What API servers know of us: our entries in all webhook configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Each configuration that exists.
    pub configurations: Vec<Configuration>,
    /// Why a configuration has no entry of ours, for the log.
    pub notice: Option<String>,
}

/// A webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Which of them it is.
    pub phase: Phase,
    /// Its name.
    pub name: String,
    /// The version that was read; a bundle is written only onto this one.
    pub version: String,
    /// Name and `caBundle` of each entry that is ours.
    pub entries: Vec<(String, Vec<u8>)>,
}

/// When an API server calls the entries of a webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// While objects may still be changed: a MutatingWebhookConfiguration.
    Mutating,
    /// When they are as they will be stored: a ValidatingWebhookConfiguration.
    Validating,
}

impl Registration {
    /// The `caBundle` of each entry.
    pub fn bundles(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.configurations.iter().flat_map(|one| &one.entries).map(|(_, bundle)| bundle)
    }
}

/// The Secret as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReading {
    /// Its version; none if there is no Secret.
    pub version: Option<String>,
    /// Its data.
    pub data: Data,
    /// The API server's clock at that moment: it is the one that verifies.
    pub now: SystemTime,
    /// Our own clock at that moment.
    pub ours: SystemTime,
}

/// The objects of a cluster that managed certificates live in.
pub trait Cluster {
    /// Reads our entries of the webhook configurations.
    fn registration(&self) -> impl Future<Output = Result<Registration, Failure>> + Send;

    /// Reads the Secret.
    fn secret(&self) -> impl Future<Output = Result<SecretReading, Failure>> + Send;

    /// Creates the Secret (`version` is `None`) or writes our keys into it; a value of `None` deletes the
    /// key. A conflict when it is no longer what was read.
    fn write(
        &self,
        version: Option<&str>,
        data: BTreeMap<String, Option<Vec<u8>>>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Writes `caBundle` of the entries, and nothing else.
    fn publish(
        &self,
        registration: &Registration,
        bundle: &str,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a look at the cluster did not end well. The certificate in use stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeeperError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] Failure),
    /// Issuing.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The writes do not come to an end.
    #[error(
        "the certificates in the Secret or the caBundle change as often as they are written: see whether \
         another program (cert-manager's CA injector, a GitOps controller) writes them too"
    )]
    Contended,
}

/// What a look at the cluster came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// What was done, in order, in words.
    pub steps: Vec<String>,
    /// What is odd but no failure.
    pub notice: Option<String>,
    /// Look again after this time at the latest, because a new CA waits for its turn.
    pub again_in: Option<Duration>,
}

/// One replica's part in keeping the certificates.
#[derive(Debug)]
pub struct Keeper<C> {
    cluster: C,
    settings: Settings,
    serving: Arc<ServingCertificate>,
    shown: Option<Shown>,
    witness: Witness,
    /// What was read last: nearly always the same again.
    read: (Data, Vault, Vec<rotation::Fault>),
}

struct Reading {
    registration: Registration,
    /// Why the registration could not be read.
    blind: Option<Failure>,
    trust: Trust,
    secret: SecretReading,
    data: Data,
    vault: Vault,
    faults: Vec<rotation::Fault>,
}

impl<C: Cluster> Keeper<C> {
    /// Keeps `serving` filled from the cluster.
    pub fn new(
        cluster: C,
        settings: Settings,
        serving: Arc<ServingCertificate>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            cluster,
            settings,
            serving,
            shown: None,
            witness: Witness::default(),
            read: Default::default(),
        })
    }

    /// What this replica shows.
    pub fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// Looks once, takes what is new, and does what is due.
    pub async fn reconcile(&mut self) -> Result<Look, KeeperError> {
        let mut look = Look::default();
        for _ in 0..MOST_STEPS {
            let reading = self.read().await?;
            self.take(&reading);
            look.notice = reading.registration.notice.clone();
            let action = rotation::next(&self.situation(&reading), &self.settings)?;
            match self.act(&reading, action, &mut look.steps).await {
                Ok(true) => {
                    look.again_in = self.witness.remaining(self.settings.settle, reading.secret.now);
                    return reading.blind.map_or(Ok(look), |error| Err(error.into()));
                }
                Ok(false) => {}
                Err(failure) if failure.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeeperError::Contended)
    }

    /// Carries out what a person asks for, once. False when there is nothing to do now: see
    /// [`rotation::ordered`].
    pub async fn order(&mut self, order: Order) -> Result<bool, KeeperError> {
        for _ in 0..MOST_STEPS {
            let reading = self.read().await?;
            if let Some(error) = reading.blind {
                return Err(error.into());
            }
            let action = rotation::ordered(order, &self.situation(&reading), &self.settings)?;
            match self.act(&reading, action, &mut Vec::new()).await {
                Ok(is_rest) => return Ok(!is_rest),
                Err(failure) if failure.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeeperError::Contended)
    }

    /// Looks every `interval`, sooner when `wake` is notified (a watch) or a new CA waits for its turn,
    /// and after a failure in steps of one second to a minute; until `shutdown` comes. Says in the log
    /// what was done, and a failure once, not at every try.
    pub async fn run(mut self, interval: Duration, wake: Arc<Notify>, shutdown: impl Future<Output = ()>) {
        let mut reminder = Reminder::default();
        let mut said = OnChange::default();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        tokio::pin!(shutdown);
        loop {
            let outcome = tokio::select! {
                () = &mut shutdown => return,
                outcome = self.reconcile() => outcome,
            };
            let (sentence, wait) = match outcome {
                Ok(look) => {
                    backoff.reset();
                    for step in &look.steps {
                        tracing::info!("{step}");
                    }
                    (look.notice, look.again_in.unwrap_or(interval).min(interval))
                }
                Err(error) => {
                    self.serving.failed(error.to_string());
                    (Some(error.to_string()), backoff.pause().min(interval))
                }
            };
            if let Some(sentence) = said.update(sentence) {
                tracing::warn!("managed certificates: {sentence}");
            }
            reminder.log(&self.serving.status(), SystemTime::now());
            tokio::select! {
                () = &mut shutdown => return,
                // A breath, so that a fight over an object does not become a flood.
                () = tokio::time::sleep(wait.max(Duration::from_millis(200))) => {}
                () = wake.notified() => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn read(&mut self) -> Result<Reading, Failure> {
        // First the bundle, then the Secret: a bundle made from this Secret is written only if the
        // configuration is still what it was before the Secret was read.
        let (registration, blind) = match self.cluster.registration().await {
            Ok(registration) => (registration, None),
            Err(error) => (Registration::default(), Some(error)),
        };
        let secret = self.cluster.secret().await?;
        let trust = match blind {
            Some(_) => Trust::Unknown,
            None => Trust::Bundles(registration.bundles().cloned().collect()),
        };
        let is_ours = |key: &str| rotation::KEYS.contains(&key);
        let data: Data = secret
            .data
            .iter()
            .filter(|(key, _)| is_ours(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if self.read.0 != data {
            let (vault, faults) = Vault::read(&data);
            self.read = (data.clone(), vault, faults);
        }
        let (_, vault, faults) = self.read.clone();
        self.witness.look(&vault, &trust, secret.now);
        Ok(Reading { registration, blind, trust, secret, data, vault, faults })
    }

    fn situation<'a>(&'a self, reading: &'a Reading) -> Situation<'a> {
        Situation {
            trust: &reading.trust,
            vault: &reading.vault,
            data: &reading.data,
            faults: &reading.faults,
            shown: self.shown.as_ref(),
            witness: &self.witness,
            now: reading.secret.now,
        }
    }

    /// Shows what the Secret has, as soon as its CA is trusted.
    fn take(&mut self, reading: &Reading) {
        let now = reading.secret.now;
        self.serving.verified_by(now, reading.secret.ours);
        match rotation::to_serve(&reading.vault, &reading.trust, self.shown.as_ref(), now) {
            // Its times were checked against this very clock.
            Some(shown) => {
                if self.serving.offer(&shown.pair, now).is_ok() {
                    self.shown = Some(shown);
                }
            }
            None => {
                if self
                    .shown
                    .as_ref()
                    .is_some_and(|shown| Some(&shown.pair) == reading.vault.serving.as_ref())
                {
                    self.serving.confirm(now);
                }
            }
        }
    }

    /// True when there was nothing to do.
    async fn act(&self, reading: &Reading, action: Action, steps: &mut Vec<String>) -> Result<bool, Failure> {
        match action {
            Action::Rest => return Ok(true),
            Action::Write(vault, reason) => {
                let mut written = vault.data();
                let data =
                    rotation::KEYS.iter().map(|key| ((*key).to_owned(), written.remove(*key))).collect();
                self.cluster.write(reading.secret.version.as_deref(), data).await?;
                steps.push(reason.to_string());
            }
            Action::Publish(bundle) => {
                self.cluster.publish(&reading.registration, &bundle).await?;
                let count = reading.registration.configurations.len();
                let plural = if count > 1 { "s" } else { "" };
                steps.push(format!("wrote the CA bundle into the webhook configuration{plural}"));
            }
        }
        Ok(false)
    }
}
