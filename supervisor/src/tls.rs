//! What connections of the supervisor's own trust.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Returns settings of TLS with the system's certificates, and a provider that is named
/// here.
pub(crate) fn system() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "no certificates of authorities on this system; SSL_CERT_FILE names them";
        return Err(text.to_owned());
    }
    trusting(roots)
}

/// Returns settings of TLS that trust nobody, for clients that speak without it.
pub(crate) fn none() -> Result<ClientConfig, String> {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
