//! A certificate with its key, known to belong together.
//!
//! A value of [`Pair`] can be served: the key is the first certificate's, that certificate is for
//! servers and names somebody. Only the clock can still be against it, see [`Pair::check_time`].

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::{self, sign::any_supported_type};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::inspect::{Details, Unreadable, written};

/// Which half of a pair an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The certificate chain, `tls.crt`.
    Certificate,
    /// The private key, `tls.key`.
    Key,
}

impl fmt::Display for Half {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Certificate => "tls.crt",
            Self::Key => "tls.key",
        })
    }
}

/// Why a certificate and a key cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// Nothing there.
    #[error("{half} is empty: put a PEM {} there", wanted(.half))]
    Empty {
        /// Which one.
        half: Half,
    },
    /// A PEM section that starts and does not end, or does not decode.
    #[error(
        "{half} is not complete PEM ({reason}): it may be half written; write it whole, then move it into place"
    )]
    Broken {
        /// Which one.
        half: Half,
        /// What the parser says.
        reason: String,
    },
    /// No PEM section of the wanted kind.
    #[error("{half} holds no PEM {}: check which file went where", wanted(.half))]
    Missing {
        /// Which one.
        half: Half,
    },
    /// A certificate of the chain is not a certificate.
    #[error("certificate {position} of tls.crt is {}", .source)]
    Unreadable {
        /// Its place in the chain, from 1.
        position: usize,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// A key of a kind that cannot sign for TLS.
    #[error("tls.key has an unsupported type: use an ECDSA P-256 or P-384, Ed25519 or RSA key")]
    UnusableKey,
    /// The key is of another certificate.
    #[error(
        "tls.key is not the key of the first certificate of tls.crt ({subject}): give both from one issue, \
         the server's certificate first"
    )]
    Mismatch {
        /// Subject of the first certificate.
        subject: String,
    },
    /// Extended key usage without server authentication.
    #[error("the certificate of {subject} is not for servers: issue it with extended key usage serverAuth")]
    NotForServers {
        /// Its subject.
        subject: String,
    },
    /// No subject alternative name.
    #[error(
        "the certificate of {subject} has no subject alternative name: no API server accepts it; issue it \
         for SERVICE.NAMESPACE.svc"
    )]
    Nameless {
        /// Its subject.
        subject: String,
    },
    /// Validity has not begun.
    #[error(
        "the certificate of {subject} is valid from {} on and now it is {}: check the clocks, or wait",
        written(*.not_before), written(*.now)
    )]
    NotYetValid {
        /// Its subject.
        subject: String,
        /// First moment.
        not_before: SystemTime,
        /// The clock.
        now: SystemTime,
    },
    /// Validity is over.
    #[error(
        "the certificate of {subject} expired at {} and now it is {}: renew it",
        written(*.not_after), written(*.now)
    )]
    Expired {
        /// Its subject.
        subject: String,
        /// Last moment.
        not_after: SystemTime,
        /// The clock.
        now: SystemTime,
    },
}

impl PairError {
    /// The same trouble for a certificate or key that stands elsewhere, without the files' names.
    pub(crate) fn unnamed(&self) -> String {
        let its = |half: &Half| match half {
            Half::Certificate => "its certificate",
            Half::Key => "its key",
        };
        match self {
            Self::Empty { half } => format!("{} is empty", its(half)),
            Self::Missing { half } => format!("{} is not there", its(half)),
            Self::Broken { half, reason } => format!("{} is not complete PEM ({reason})", its(half)),
            other => other.to_string(),
        }
    }
}

fn wanted(half: &Half) -> &'static str {
    match half {
        Half::Certificate => "certificate",
        Half::Key => "private key",
    }
}

/// A certificate chain, server's first, with its private key.
pub struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    details: Vec<Details>,
    leaf: Details,
    served: Arc<CertifiedKey>,
}

impl Pair {
    /// Reads and checks both halves as they stand in `tls.crt` and `tls.key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        Self::new(chain(certificate)?, private_key(key)?)
    }

    /// Checks that the two belong together.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, PairError> {
        let mut details = Vec::with_capacity(chain.len());
        for (index, certificate) in chain.iter().enumerate() {
            let read = Details::of(certificate);
            details.push(read.map_err(|source| PairError::Unreadable { position: index + 1, source })?);
        }
        let Some(leaf) = details.first().cloned() else {
            return Err(PairError::Missing { half: Half::Certificate });
        };
        let signing = any_supported_type(&key).map_err(|_| PairError::UnusableKey)?;
        let served = CertifiedKey::new(chain.clone(), signing);
        let subject = leaf.subject.clone();
        if served.keys_match().is_err() {
            return Err(PairError::Mismatch { subject });
        }
        if !leaf.is_for_servers {
            return Err(PairError::NotForServers { subject });
        }
        if leaf.names.is_empty() {
            return Err(PairError::Nameless { subject });
        }
        Ok(Self { chain, key, details, leaf, served: Arc::new(served) })
    }

    /// Holds the pair against the clock: the server's certificate, and each next one in the chain that
    /// signed the one before it.
    pub fn check_time(&self, now: SystemTime) -> Result<(), PairError> {
        let mut signed_by = None;
        for details in &self.details {
            if signed_by.is_some_and(|issuer: &String| *issuer != details.subject) {
                break;
            }
            let subject = details.subject.clone();
            if now < details.not_before {
                return Err(PairError::NotYetValid { subject, not_before: details.not_before, now });
            }
            if now > details.not_after {
                return Err(PairError::Expired { subject, not_after: details.not_after, now });
            }
            signed_by = Some(&details.issuer);
        }
        Ok(())
    }

    /// What the server's own certificate says.
    pub fn leaf(&self) -> &Details {
        &self.leaf
    }

    /// The chain, server's certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key. Keep it out of logs.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The form rustls serves.
    pub fn served(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.served)
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        // A chain belongs to one key, so it says all.
        self.chain == other.chain
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out.
        formatter.debug_struct("Pair").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// Every certificate of a PEM text, in its order; at least one.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let half = Half::Certificate;
    if pem.trim_ascii().is_empty() {
        return Err(PairError::Empty { half });
    }
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(half, &error))?;
    if chain.is_empty() { Err(PairError::Missing { half }) } else { Ok(chain) }
}

/// The first private key of a PEM text.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    let half = Half::Key;
    if pem.trim_ascii().is_empty() {
        return Err(PairError::Empty { half });
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| broken(half, &error))
}

/// Does the chain lead to one of `authorities`, for a client whose clock says `at`?
pub fn is_signed_by(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    at: SystemTime,
) -> bool {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return false;
    };
    let Ok(leaf) = ParsedCertificate::try_from(leaf) else {
        return false;
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&leaf, &roots, intermediates, at, algorithms).is_ok()
}

fn broken(half: Half, error: &PemError) -> PairError {
    match error {
        PemError::NoItemsFound => PairError::Missing { half },
        // Its own words would print the marker as a list of numbers.
        PemError::MissingSectionEnd { .. } => {
            PairError::Broken { half, reason: "a BEGIN line without its END line".to_owned() }
        }
        PemError::IllegalSectionStart { .. } => {
            PairError::Broken { half, reason: "a BEGIN line that is cut off".to_owned() }
        }
        other => PairError::Broken { half, reason: other.to_string() },
    }
}
