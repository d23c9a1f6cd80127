//! A serving certificate from a folder: `tls.crt`, `tls.key` and, if there is one, `ca.crt`.
//!
//! The folder is read again on a timer and compared by content, so it does not matter how it changes:
//! files written over, files renamed into place, or the symlink swap of a Secret mount. A swap between
//! two reads can give halves of two issues; so what is not valid is read once more before it is refused. What is
//! refused never replaces what serves.

use std::future::Future;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver::OnChange;

use crate::inspect::written;
use crate::pair::{self, Pair, PairError};
use crate::serving::{Reminder, ServingCertificate};

/// More than any chain needs; a device or a log by mistake must not fill the memory.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Why the folder's content was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The two files cannot be served.
    #[error("{}: {source}", directory.display())]
    Pair {
        /// Where they are.
        directory: PathBuf,
        /// What is wrong with them.
        source: PairError,
    },
}

/// What a look at the folder came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The content is what is served already.
    Same,
    /// A good pair was found and is served from now on.
    Taken,
}

/// The folder of `--tls-dir`.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    serving: Arc<ServingCertificate>,
    taken: Option<Content>,
    ca_warning: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

impl Directory {
    /// A folder that fills `serving`; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, serving: Arc<ServingCertificate>) -> Self {
        Self { path: path.into(), serving, taken: None, ca_warning: None }
    }

    /// Reads the folder once and takes a pair that is good at `now`. At the start of a server an error is
    /// the reason to stop; later it is counted in the status and what serves goes on.
    pub fn poll(&mut self, now: SystemTime) -> Result<Change, ReloadError> {
        // A swap between two reads looks like a broken pair for that moment only.
        let outcome = self.look(now).or_else(|_| self.look(now));
        if let Err(error) = &outcome {
            self.serving.failed(error.to_string());
        }
        outcome
    }

    /// Reads the folder every `interval` until `shutdown` comes, and says in the log what it took or
    /// refused: a refusal once, not at every look.
    pub async fn run(mut self, interval: Duration, shutdown: impl Future<Output = ()>) {
        let mut timer = tokio::time::interval(interval.max(Duration::from_millis(10)));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = OnChange::default();
        let mut reminder = Reminder::default();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = timer.tick() => {}
            }
            let now = SystemTime::now();
            // A few small files of a tmpfs mount: shorter than handing them to another thread.
            let outcome = self.poll(now);
            if outcome == Ok(Change::Taken) {
                self.log_taken();
            }
            if let Some(error) = said.update(outcome.err()) {
                tracing::error!(directory = %self.path.display(), error = %error,
                    "the serving certificate was not reloaded; the old one stays in use");
            }
            reminder.log(&self.serving.status(), now);
        }
    }

    /// Why `ca.crt` does not fit what is served, if it does not. It serves all the same: the API server
    /// goes by the bundle it was given, not by this file.
    pub fn ca_warning(&self) -> Option<&str> {
        self.ca_warning.as_deref()
    }

    fn look(&mut self, now: SystemTime) -> Result<Change, ReloadError> {
        let content = self.read()?;
        if self.taken.as_ref() == Some(&content) {
            self.serving.confirm(now);
            return Ok(Change::Same);
        }
        let pair =
            Pair::from_pem(&content.certificate, &content.key).map_err(|source| self.refused(source))?;
        self.serving.offer(&pair, now).map_err(|source| self.refused(source))?;
        self.ca_warning = content.ca.as_deref().and_then(|ca| ca_mismatch(ca, &pair));
        self.taken = Some(content);
        Ok(Change::Taken)
    }

    fn refused(&self, source: PairError) -> ReloadError {
        ReloadError::Pair { directory: self.path.clone(), source }
    }

    fn read(&self) -> Result<Content, ReloadError> {
        Ok(Content {
            certificate: self.file("tls.crt")?,
            key: self.file("tls.key")?,
            // cert-manager leaves it out or empty if the issuer has no CA to show.
            ca: self.file("ca.crt").ok().filter(|ca| !ca.trim_ascii().is_empty()),
        })
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, ReloadError> {
        let path = self.path.join(name);
        read_limited(&path).map_err(|error| ReloadError::File { path, reason: error.to_string() })
    }

    fn log_taken(&self) {
        let status = self.serving.status();
        if let Some(details) = status.serving {
            tracing::info!(directory = %self.path.display(), subject = details.subject,
                fingerprint = details.fingerprint, not_after = written(details.not_after),
                "serving a new certificate");
        }
        if let Some(warning) = &self.ca_warning {
            tracing::warn!(directory = %self.path.display(), warning = warning.as_str(), "ca.crt does not fit");
        }
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("larger than 1 MiB: not a certificate"));
    }
    Ok(content)
}

fn ca_mismatch(ca: &[u8], pair: &Pair) -> Option<String> {
    let authorities = match pair::chain(ca) {
        Ok(authorities) => authorities,
        Err(error) => return Some(format!("ca.crt cannot be read: {error}")),
    };
    let signed = pair::is_signed_by(pair.chain(), &authorities, pair.leaf().not_before);
    (!signed).then(|| {
        format!(
            "no certificate of ca.crt signed the served one (issuer {}): a client that trusts ca.crt refuses it",
            pair.leaf().issuer
        )
    })
}
