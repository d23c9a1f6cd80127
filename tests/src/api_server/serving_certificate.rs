//! Certificates for servers on loopback, each from a CA of its own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};

/// A server certificate for 127.0.0.1 and the CA that signed it, as PEM.
#[derive(Debug, Clone)]
pub struct ServingCertificate {
    /// The CA's certificate: what clients trust.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's private key.
    pub key: String,
}

impl ServingCertificate {
    /// Issues a certificate; every call makes a new CA as well.
    pub fn issue() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();

        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1", "10.0.2.2", "localhost"].map(str::to_owned);
        let mut server = CertificateParams::new(names).unwrap();
        server.distinguished_name.push(DnType::CommonName, "test server");
        let certificate = server.signed_by(&key, &ca).unwrap();
        Self { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes `ca.crt`, `tls.crt` and `tls.key` into `folder`.
    pub fn write(&self, folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("ca.crt"), &self.ca).unwrap();
        fs::write(folder.join("tls.crt"), &self.certificate).unwrap();
        fs::write(folder.join("tls.key"), &self.key).unwrap();
        folder.to_owned()
    }
}
