//! The TLS configuration around a [`ServingCertificate`], made once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::pair;
use crate::serving::ServingCertificate;

/// Why no TLS configuration could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The client CA file cannot be read.
    #[error("cannot read the client CA {}: {reason}", path.display())]
    ClientCaFile {
        /// Where.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The client CA is not PEM text with CA certificates.
    #[error(
        "the client CA cannot be used: {reason}: give the PEM certificate of the CA that signs the API server's client certificate"
    )]
    ClientCa {
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refused the configuration.
    #[error("cannot configure TLS: {reason}")]
    Configuration {
        /// What it says.
        reason: String,
    },
}

/// The CAs whose client certificates are accepted; with it, a client without one is turned away.
#[derive(Debug, Clone)]
pub struct ClientCa {
    roots: Arc<RootCertStore>,
}

impl ClientCa {
    /// Reads `--client-ca FILE`.
    pub fn from_file(path: &Path) -> Result<Self, TlsError> {
        let pem = std::fs::read(path)
            .map_err(|error| TlsError::ClientCaFile { path: path.to_owned(), reason: error.to_string() })?;
        Self::from_pem(&pem)
    }

    /// Reads one or more PEM certificates.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let certificates =
            pair::chain(pem).map_err(|error| TlsError::ClientCa { reason: error.unnamed() })?;
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| TlsError::ClientCa {
                reason: format!("its certificate {} is not one ({error})", index + 1),
            })?;
        }
        Ok(Self { roots: Arc::new(roots) })
    }
}

/// The crypto of every handshake. A program that also links other users of rustls installs it as the
/// process's default, once, in `main`.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3, with the slot's certificate of the moment.
pub fn server_config(
    serving: Arc<ServingCertificate>,
    client_ca: Option<&ClientCa>,
) -> Result<ServerConfig, TlsError> {
    let refused = |error: &dyn std::fmt::Display| TlsError::Configuration { reason: error.to_string() };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ClientCa { roots }) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
                .build()
                .map_err(|error| refused(&error))?,
        ),
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
