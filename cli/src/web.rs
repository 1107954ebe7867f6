//! HTTP clients.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Starts an HTTP client with the one TLS provider of this project, named here and not
/// taken from the process: a program that links the built-in tasks may have set none.
///
/// # Errors
///
/// When the system has no certificates to trust.
pub(crate) fn client() -> Result<reqwest::ClientBuilder, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    // Proxies of the environment would see what the rules of a task refuse.
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy())
}
