//! What a certificate says about itself, for people and for decisions.
//!
//! Nothing here judges: an expired certificate is read like any other.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// What one certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Whom it is for, as a distinguished name.
    pub subject: String,
    /// Who signed it, as a distinguished name.
    pub issuer: String,
    /// Its subject alternative names: DNS names and IP addresses, in its order.
    pub names: Vec<String>,
    /// Serial number, hexadecimal with colons.
    pub serial: String,
    /// First moment it is valid.
    pub not_before: SystemTime,
    /// Last moment it is valid.
    pub not_after: SystemTime,
    /// SHA-256 over the DER bytes, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
    /// May it sign others?
    pub is_authority: bool,
    /// May a server show it? A certificate that names no purpose is for every purpose.
    pub is_for_servers: bool,
}

/// Why a certificate could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {reason}")]
pub struct Unreadable {
    /// What the parser says.
    pub reason: String,
}

impl Details {
    /// Reads one certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (rest, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| Unreadable { reason: error.to_string() })?;
        if !rest.is_empty() {
            return Err(Unreadable { reason: format!("{} bytes follow it", rest.len()) });
        }
        let unreadable = |error: x509_parser::error::X509Error| Unreadable { reason: error.to_string() };
        let names = match parsed.subject_alternative_name().map_err(unreadable)? {
            Some(extension) => extension.value.general_names.iter().map(name).collect(),
            None => Vec::new(),
        };
        let is_for_servers = match parsed.extended_key_usage().map_err(unreadable)? {
            Some(extension) => extension.value.any || extension.value.server_auth,
            None => true,
        };
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names,
            serial: parsed.raw_serial_as_string().to_uppercase(),
            not_before: moment(parsed.validity().not_before),
            not_after: moment(parsed.validity().not_after),
            fingerprint: fingerprint(certificate),
            is_authority: parsed.is_ca(),
            is_for_servers,
        })
    }

    /// From its first to its last moment.
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// What is left of it at `now`; nothing once it has expired.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    /// Is `now` within its validity?
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// SHA-256 over the certificate's DER bytes, as openssl prints it: `AB:CD:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let mut text = String::with_capacity(95);
    for (index, byte) in digest.as_ref().iter().enumerate() {
        if index > 0 {
            text.push(':');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// A moment as people and log readers expect it: `2026-11-24T04:00:00Z`, in whole seconds.
pub fn written(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    };
    match Timestamp::from_second(seconds) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => std::net::Ipv4Addr::from(four).to_string(),
            (_, Ok(sixteen)) => std::net::Ipv6Addr::from(sixteen).to_string(),
            _ => format!("an IP address of {} bytes", bytes.len()),
        },
        other => other.to_string(),
    }
}

/// Years from 1950 to 9999 are all a certificate can say, so nothing is lost at either end.
fn moment(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}
