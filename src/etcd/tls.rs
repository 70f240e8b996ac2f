//! What a client needs to speak TLS to a member: the CA and, with client-cert-auth, a pair.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A checked TLS client configuration: TLS 1.2 and 1.3, no ALPN, and no session resumption, so that every connection
/// shows the server the pair and shows us the server's certificate anew.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the CAs of a PEM bundle, shows no certificate.
    ///
    /// # Errors
    /// [`TlsError`] when the bundle holds no usable CA.
    pub fn new(ca_pem: &[u8]) -> Result<Self, TlsError> {
        let builder = Self::builder(ca_pem)?;
        Ok(Self::from_config(builder.with_no_client_auth()))
    }

    /// Trusts the CAs of a PEM bundle and shows a pair when the server asks for one.
    ///
    /// # Errors
    /// [`TlsError`] when the bundle, the certificate (leaf first) or the key is unusable, or key and certificate do
    /// not belong together.
    pub fn with_pair(ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let builder = Self::builder(ca_pem)?;
        let chain = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Certificate { what: error.to_string() })?;
        if chain.is_empty() {
            return Err(TlsError::Certificate { what: "no CERTIFICATE block in it".into() });
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| TlsError::Key { what: error.to_string() })?;
        let config = builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| TlsError::Pair { what: error.to_string() })?;
        Ok(Self::from_config(config))
    }

    /// Takes a configuration as it is, with a verifier or a signer of the caller's own; resumption is switched off.
    pub fn from_config(mut config: ClientConfig) -> Self {
        config.resumption = Resumption::disabled();
        config.alpn_protocols = Vec::new();
        Self { config: Arc::new(config) }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    fn builder(
        ca_pem: &[u8],
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|error| TlsError::Ca { what: error.to_string() })?;
            roots.add(certificate).map_err(|error| TlsError::Ca { what: error.to_string() })?;
        }
        if roots.is_empty() {
            return Err(TlsError::Ca { what: "no CERTIFICATE block in it".into() });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3");
        Ok(builder.with_root_certificates(roots))
    }
}

// The configuration holds the private key: it is not shown.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// CA, certificate or key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA bundle.
    #[error("the CA bundle cannot be used: {what}")]
    Ca {
        /// What is wrong with it.
        what: String,
    },
    /// The certificate.
    #[error("the client certificate cannot be used: {what}")]
    Certificate {
        /// What is wrong with it.
        what: String,
    },
    /// The key.
    #[error("the client key cannot be used: {what}")]
    Key {
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key together.
    #[error("the client certificate and key cannot be used together: {what}")]
    Pair {
        /// What is wrong with them.
        what: String,
    },
}
