//! Asks the API server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::cluster::Cluster;

/// Asks the API server, as the service account of this pod.
///
/// Token and authority are files that are replaced while the pod runs, so each request
/// reads them. Nothing else is trusted, and no proxy asked: those of the environment lead
/// out of the cluster.
pub(crate) struct Client {
    base: String,
    account: PathBuf,
    trust: Mutex<Trust>,
}

/// What `ca.crt` held, and the connections made with it.
struct Trust {
    authority: Vec<u8>,
    client: reqwest::Client,
}

/// One request.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// From the root on.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'static str, &'a str)],
    pub(super) accept: &'static str,
    /// The body with its type.
    pub(super) body: Option<(&'static str, Vec<u8>)>,
}

/// What the API server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long it wants to be left alone.
    pub(super) wait: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// The largest answer that is read, in bytes: a page of a list.
const LARGEST: usize = 8 << 20;
/// The longest that the API server may ask to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

impl Client {
    /// Makes a client; asks nothing yet.
    ///
    /// # Errors
    ///
    /// When the cluster's authority cannot be read.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, String> {
        let path = cluster.account.join("ca.crt");
        let authority = std::fs::read(&path);
        let authority = authority.map_err(|error| format!("{}: {error}", path.display()))?;
        let trust =
            Trust::new(authority).map_err(|reason| format!("{}: {reason}", path.display()))?;
        Ok(Self {
            base: cluster.base.clone(),
            account: cluster.account.clone(),
            trust: Mutex::new(trust),
        })
    }

    pub(super) fn token_path(&self) -> PathBuf {
        self.account.join("token")
    }

    /// Asks once; an error says what failed on the way.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answer, String> {
        let token_path = self.token_path();
        let token = read(&token_path).await?;
        let token = String::from_utf8(token)
            .map_err(|_| format!("{}: it is no text", token_path.display()))?;
        let client = self.client().await;
        let mut url = Url::parse(&format!("{}{}", self.base, question.path))
            .map_err(|error| format!("{}: {error}", self.base))?;
        if !question.query.is_empty() {
            url.query_pairs_mut().extend_pairs(question.query);
        }
        let mut request = client
            .request(question.method, url)
            .bearer_auth(token.trim())
            .header("accept", question.accept);
        if let Some((kind, body)) = question.body {
            request = request.header("content-type", kind).body(body);
        }
        let mut answer = request.send().await.map_err(whole)?;
        let wait = answer.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(whole)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("the answer is larger than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: answer.status(),
            wait: wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
            body,
        })
    }

    /// Returns the connections to use, new ones when the cluster's authority changed. One
    /// that cannot be read changes nothing: files are replaced one after the other.
    async fn client(&self) -> reqwest::Client {
        let path = self.account.join("ca.crt");
        let found = read(&path).await;
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(authority) if authority != trust.authority => match Trust::new(authority) {
                Ok(changed) => {
                    tracing::info!(path = %path.display(), "the cluster's authority changed");
                    *trust = changed;
                }
                Err(reason) => {
                    let path = path.display();
                    tracing::debug!(%path, reason, "the authority of before is trusted");
                }
            },
            _ => {}
        }
        trust.client.clone()
    }
}

impl Trust {
    fn new(authority: Vec<u8>) -> Result<Self, String> {
        let roots = roots(&authority)?;
        // The provider is named here: a program that links this crate may have set none.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("celeriac-supervisor/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { authority, client })
    }
}

/// Trusts the cluster's own authority, and nobody else.
fn roots(authority: &[u8]) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let added = roots.add(certificate);
        added.map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("expected certificates, found none".to_owned());
    }
    Ok(roots)
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = tokio::fs::read(path).await;
    bytes.map_err(|error| format!("{}: {error}", path.display()))
}

/// Says an error with what caused it: the first line alone never names the reason.
fn whole(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(reason) = cause {
        text = format!("{text}: {reason}");
        cause = reason.source();
    }
    text
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
