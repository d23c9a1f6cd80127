//! Makes certificates: authorities and what they sign. ECDSA P-256 throughout.
//!
//! The clock is an argument; the only thing taken from outside is randomness.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::inspect::{Details, written};
use crate::pair::{self, Pair};

/// How far back validity begins, so that a clock that is a little behind accepts a new certificate.
pub const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// Why nothing was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// No name to issue for.
    #[error("a serving certificate needs a name: name the DNS names or IP addresses of the server")]
    NoNames,
    /// Neither a DNS name nor an IP address.
    #[error("{name:?} is neither a DNS name nor an IP address: write the name of the server")]
    Name {
        /// The value.
        name: String,
    },
    /// A time that a certificate cannot hold.
    #[error("{} is beyond what a certificate can say: check the clock and the lifetimes", written(*.time))]
    Time {
        /// The value.
        time: SystemTime,
    },
    /// The authority cannot sign.
    #[error("the CA cannot sign: {reason}")]
    Authority {
        /// What is wrong with it.
        reason: String,
    },
    /// The cryptography refused.
    #[error("cannot make a certificate: {reason}")]
    Generation {
        /// What the library says.
        reason: String,
    },
}

/// A CA: a certificate that signs others, with its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    details: Details,
    key: KeyPair,
    common_name: String,
}

impl Authority {
    /// Makes a new one that calls itself `name` and the moment of its making.
    pub fn generate(name: &str, lifetime: Duration, now: SystemTime) -> Result<Self, IssueError> {
        let common_name = format!("{name} {}", written(now));
        let mut parameters = parameters(&common_name, lifetime, now)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(generation)?;
        let certificate = parameters.self_signed(&key).map_err(generation)?;
        let certificate = certificate.der().clone();
        let details = Details::of(&certificate).map_err(generation)?;
        Ok(Self { certificate, details, key, common_name })
    }

    /// Reads one that [`Authority::generate`] made, as it was stored.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IssueError> {
        let unusable = |reason: String| IssueError::Authority { reason };
        let mut chain = pair::chain(certificate).map_err(|error| unusable(error.unnamed()))?;
        if chain.len() != 1 {
            return Err(unusable(format!("{} certificates where one is expected", chain.len())));
        }
        let Some(certificate) = chain.pop() else {
            return Err(unusable("its certificate is missing".to_owned()));
        };
        let details = Details::of(&certificate).map_err(|error| unusable(error.to_string()))?;
        if !details.is_authority {
            return Err(unusable(format!("{} is not the certificate of a CA", details.subject)));
        }
        let Some(common_name) = own_common_name(&certificate) else {
            return Err(unusable(format!("{} was not made by this program", details.subject)));
        };
        let key = pair::private_key(key).map_err(|error| unusable(error.unnamed()))?;
        let key = KeyPair::try_from(&key).map_err(|error| unusable(format!("its key: {error}")))?;
        if !is_key_of(&key, &certificate) {
            return Err(unusable(format!("its key is not the key of {}", details.subject)));
        }
        Ok(Self { certificate, details, key, common_name })
    }

    /// Signs a serving certificate for DNS names and IP addresses. It never outlives its CA.
    pub fn sign(&self, names: &[String], lifetime: Duration, now: SystemTime) -> Result<Pair, IssueError> {
        let first = names.first().ok_or(IssueError::NoNames)?;
        if !self.details.is_valid_at(now) {
            let reason = format!(
                "it is valid from {} to {} and now it is {}",
                written(self.details.not_before),
                written(self.details.not_after),
                written(now)
            );
            return Err(IssueError::Authority { reason });
        }
        let lifetime = lifetime.min(self.details.remaining(now));
        let mut parameters = serving_parameters(first, names, lifetime, now)?;
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(generation)?;
        let mut issuer_parameters = CertificateParams::default();
        issuer_parameters.distinguished_name = distinguished_name(&self.common_name);
        issuer_parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = Issuer::from_params(&issuer_parameters, &self.key);
        let certificate = parameters.signed_by(&key, &issuer).map_err(generation)?;
        assemble(certificate.der().clone(), &key)
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What its certificate says.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Its certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }

    /// Its key as PEM. Keep it out of logs.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out.
        formatter.debug_struct("Authority").field("details", &self.details).finish_non_exhaustive()
    }
}

/// A serving certificate that nobody stores: for a first try, for tests, for `serve --self-signed`.
///
/// A CA is made for it on the spot and its key forgotten, so a client trusts it by [`SelfSigned::ca_pem`]
/// (`curl --cacert`) or by the leaf's fingerprint, [`Details::fingerprint`].
#[derive(Debug)]
pub struct SelfSigned {
    /// What to serve.
    pub pair: Pair,
    /// What a client must trust, PEM.
    pub ca_pem: String,
}

impl SelfSigned {
    /// Issues for DNS names and IP addresses, valid from five minutes before `now` on.
    pub fn issue(names: &[String], lifetime: Duration, now: SystemTime) -> Result<Self, IssueError> {
        let authority = Authority::generate("sriov-webhook self-signed CA", lifetime, now)?;
        let pair = authority.sign(names, lifetime, now)?;
        Ok(Self { pair, ca_pem: authority.certificate_pem() })
    }
}

/// A certificate as PEM.
pub fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    section("CERTIFICATE", certificate)
}

/// A pair's two halves as PEM: the chain and the key.
pub fn pair_pem(pair: &Pair) -> (String, String) {
    let chain = pair.chain().iter().map(certificate_pem).collect();
    let label = match pair.key() {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    (chain, section(label, pair.key().secret_der()))
}

fn parameters(
    common_name: &str,
    lifetime: Duration,
    now: SystemTime,
) -> Result<CertificateParams, IssueError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let last_year = rcgen::date_time_ymd(9999, 12, 31);
    let moment = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| IssueError::Time { time })?;
        // Whole seconds: a certificate holds no more, and rounding up could pass the CA's end.
        let since = Duration::from_secs(since.as_secs());
        let limit = (last_year - epoch).unsigned_abs();
        if since < limit { Ok(epoch + since) } else { Err(IssueError::Time { time }) }
    };
    let end = now.checked_add(lifetime).ok_or(IssueError::Time { time: now })?;
    let begin = now.checked_sub(BACKDATED).ok_or(IssueError::Time { time: now })?;
    let mut parameters = CertificateParams::default();
    parameters.not_before = moment(begin)?;
    parameters.not_after = moment(end)?;
    parameters.distinguished_name = distinguished_name(common_name);
    parameters.serial_number = Some(serial_number()?);
    Ok(parameters)
}

fn serving_parameters(
    first: &str,
    names: &[String],
    lifetime: Duration,
    now: SystemTime,
) -> Result<CertificateParams, IssueError> {
    // A common name holds at most 64 bytes; the alternative names are what counts.
    let common_name: String = first.chars().take(64).collect();
    let mut parameters = parameters(&common_name, lifetime, now)?;
    parameters.subject_alt_names =
        names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.is_ca = IsCa::ExplicitNoCa;
    Ok(parameters)
}

fn alternative_name(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || IssueError::Name { name: name.to_owned() };
    // The check of the very library that verifies the name at a handshake, a leading "*." aside.
    let plain = name.strip_prefix("*.").unwrap_or(name);
    rustls_pki_types::DnsName::try_from(plain).map_err(|_| wrong())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| wrong())?))
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// 127 random bits, positive: what RFC 5280 asks for, and room to spare.
fn serial_number() -> Result<SerialNumber, IssueError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| generation("no randomness"))?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn assemble(certificate: CertificateDer<'static>, key: &KeyPair) -> Result<Pair, IssueError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Pair::new(vec![certificate], key).map_err(generation)
}

/// The common name, when the subject is nothing else and written as we write it: only then does what
/// we sign name its issuer in the very same bytes.
fn own_common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut attributes = parsed.subject().iter_attributes();
    let attribute = attributes.next()?;
    let is_common_name = attribute.attr_type() == &x509_parser::oid_registry::OID_X509_COMMON_NAME;
    let is_utf8 = attribute.attr_value().header.tag() == x509_parser::asn1_rs::Tag::Utf8String;
    if attributes.next().is_some() || !is_common_name || !is_utf8 {
        return None;
    }
    attribute.as_str().ok().map(str::to_owned)
}

fn is_key_of(key: &KeyPair, certificate: &CertificateDer<'_>) -> bool {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw())
}

fn section(label: &str, der: &[u8]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), lines)
}

fn generation(error: impl fmt::Display) -> IssueError {
    IssueError::Generation { reason: error.to_string() }
}
