//! What the Secret holds, and how it is written there.
//!
//! | key | content |
//! | --- | --- |
//! | `tls.crt`, `tls.key` | what is served |
//! | `ca.crt` | the bundle: every CA that clients must trust now |
//! | `signer.crt`, `signer.key` | the CA that signs |
//! | `next.crt`, `next.key` | the CA that will sign, once it is trusted everywhere |
//! | `retired.crt` | CAs that sign no more and are still trusted, each under a line `until TIME` |
//!
//! Each part is read by itself: what somebody edited or cut off is missing afterwards, said in a
//! sentence, and the rest still counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::inspect::{Details, written};
use crate::issue::{Authority, certificate_pem, pair_pem};
use crate::pair::{self, Pair};

/// The data of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// Every key that is ours; others in the Secret are left alone.
pub const KEYS: [&str; 8] =
    ["ca.crt", "next.crt", "next.key", "retired.crt", "signer.crt", "signer.key", "tls.crt", "tls.key"];

/// The certificates and keys that all replicas share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vault {
    /// What is served.
    pub serving: Option<Arc<Pair>>,
    /// The CA that signs.
    pub signer: Option<Arc<Authority>>,
    /// The CA that will sign.
    pub next: Option<Arc<Authority>>,
    /// CAs that sign no more but whose certificates may still be served somewhere.
    pub retired: Vec<Retired>,
}

/// A CA that signs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The CA.
    pub certificate: CertificateDer<'static>,
    /// When the last certificate that it can have signed has ended; none where that was not written.
    pub until: Option<SystemTime>,
}

impl Retired {
    /// Is its time over?
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A part of the Secret that cannot be used: which, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Names the part and what is wrong with it.
    pub sentence: String,
}

impl Vault {
    /// Reads what can be read. A Secret without any of our keys is an empty vault without faults.
    pub fn read(data: &Data) -> (Self, Vec<Fault>) {
        let mut vault = Self::default();
        let mut faults = Vec::new();
        if KEYS.iter().all(|key| data.get(*key).is_none_or(Vec::is_empty)) {
            return (vault, faults);
        }
        let part = |key: &str| data.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut fault = |sentence: String| faults.push(Fault { sentence });

        match Pair::from_pem(part("tls.crt"), part("tls.key")) {
            Ok(pair) => vault.serving = Some(Arc::new(pair)),
            Err(error) => fault(error.to_string()),
        }
        match Authority::from_pem(part("signer.crt"), part("signer.key")) {
            Ok(authority) => vault.signer = Some(Arc::new(authority)),
            // After the loss of its key there is none until the next one signs.
            Err(_) if !data.contains_key("signer.crt") && data.contains_key("next.crt") => {}
            Err(error) => {
                fault(format!("signer.crt and signer.key: {error}"));
                vault.keep_trusting(part("signer.crt"));
            }
        }
        if data.contains_key("next.crt") || data.contains_key("next.key") {
            match Authority::from_pem(part("next.crt"), part("next.key")) {
                Ok(authority) => vault.next = Some(Arc::new(authority)),
                Err(error) => {
                    fault(format!("next.crt and next.key: {error}"));
                    vault.keep_trusting(part("next.crt"));
                }
            }
        }
        if data.contains_key("retired.crt") {
            if let Err(error) = pair::chain(part("retired.crt")) {
                fault(format!("retired.crt cannot be read: {}", error.unnamed()));
            }
            vault.keep_trusting(part("retired.crt"));
        }
        if let Some(serving) = &vault.serving
            && vault.signer_of(serving).is_none()
        {
            let issuer = &serving.leaf().issuer;
            fault(format!("tls.crt was signed by none of the CAs of the Secret (its issuer is {issuer})"));
        }
        (vault, faults)
    }

    /// The data of the Secret that holds this.
    pub fn data(&self) -> Data {
        let mut data = Data::new();
        let mut put = |key: &str, text: String| data.insert(key.to_owned(), text.into_bytes());
        if let Some(serving) = &self.serving {
            let (certificate, key) = pair_pem(serving);
            put("tls.crt", certificate);
            put("tls.key", key);
        }
        put("ca.crt", self.bundle());
        for (authority, certificate, key) in
            [(&self.signer, "signer.crt", "signer.key"), (&self.next, "next.crt", "next.key")]
        {
            if let Some(authority) = authority {
                put(certificate, authority.certificate_pem());
                put(key, authority.key_pem());
            }
        }
        if !self.retired.is_empty() {
            let written = self.retired.iter().map(|Retired { certificate, until }| {
                let until = until.map(|until| format!("{UNTIL}{}\n", written(until))).unwrap_or_default();
                until + &certificate_pem(certificate)
            });
            put("retired.crt", written.collect());
        }
        data
    }

    /// Every CA that clients must trust: the signer, the next one, the retired.
    pub fn authorities(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let active = self.signer.iter().chain(&self.next).map(|authority| authority.certificate());
        active.chain(self.retired.iter().map(|retired| &retired.certificate))
    }

    /// The same as PEM, for `caBundle`.
    pub fn bundle(&self) -> String {
        self.authorities().map(certificate_pem).collect()
    }

    /// The same without the retired CAs that `is_dropped`, but for one that signed what is served.
    pub fn bundle_without(&self, is_dropped: impl Fn(&Retired) -> bool) -> String {
        if !self.retired.iter().any(&is_dropped) {
            return self.bundle();
        }
        let mut rest = self.clone();
        rest.drop_retired(is_dropped);
        rest.bundle()
    }

    /// Forgets the retired CAs that `is_dropped`, but for one that signed what is served.
    pub fn drop_retired(&mut self, is_dropped: impl Fn(&Retired) -> bool) {
        let needed = self.serving.as_ref().and_then(|serving| self.signer_of(serving)).cloned();
        self.retired.retain(|retired| Some(&retired.certificate) == needed.as_ref() || !is_dropped(retired));
    }

    /// Which of our CAs signed `pair`?
    pub fn signer_of(&self, pair: &Pair) -> Option<&CertificateDer<'static>> {
        let at = pair.leaf().not_before;
        self.authorities()
            .find(|authority| pair::is_signed_by(pair.chain(), std::slice::from_ref(authority), at))
    }

    /// Puts a CA among the retired, unless it is known already.
    pub fn retire(&mut self, certificate: &CertificateDer<'static>, until: Option<SystemTime>) {
        if self.authorities().all(|known| known != certificate) {
            self.retired.push(Retired { certificate: certificate.clone(), until });
        }
    }

    /// Retires every CA that can be read from a PEM text, whatever else stands there.
    fn keep_trusting(&mut self, pem: &[u8]) {
        let text = String::from_utf8_lossy(pem);
        let mut until = None;
        // Each section with the lines above it.
        for part in text.split_inclusive("-----END CERTIFICATE-----") {
            let line = part.lines().find_map(|line| line.strip_prefix(UNTIL));
            until = line.and_then(|line| line.trim().parse().ok()).and_then(moment).or(until);
            for certificate in CertificateDer::pem_slice_iter(part.as_bytes()).flatten() {
                if Details::of(&certificate).is_ok_and(|details| details.is_authority) {
                    self.retire(&certificate, until.take());
                }
            }
        }
    }
}

/// The line above a retired CA, where PEM allows any text.
const UNTIL: &str = "until ";

fn moment(time: Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(time.as_second()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
