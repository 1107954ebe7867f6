//! The API server of Kubernetes, as far as one Lease needs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::record::Lease;

/// Where the API server is, and who this pod is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    base: String,
    /// The folder of the service account: `token`, `ca.crt`, `namespace`.
    account: PathBuf,
}

/// One Lease at an API server.
#[derive(Debug)]
pub(super) struct Api {
    client: reqwest::Client,
    /// The URL of all Leases of the namespace.
    all: String,
    name: String,
    namespace: String,
    token: PathBuf,
    timeout: Duration,
}

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Somebody else wrote first.
    #[error("the Lease changed meanwhile")]
    Conflict,
    /// There is no such Lease.
    #[error("there is no such Lease")]
    Missing,
    #[error("{0}")]
    Other(String),
}

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The largest answer that is read, in bytes.
const ANSWER: usize = 1 << 20;

impl Cluster {
    /// Returns the cluster that this process runs in, or what is missing.
    pub(crate) fn of_this_pod() -> Result<Self, String> {
        Self::find(|name| std::env::var(name).ok(), Path::new(ACCOUNT))
    }

    fn find(env: impl Fn(&str) -> Option<String>, account: &Path) -> Result<Self, String> {
        let variable = |name: &str| {
            let value = env(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("no environment variable {name}"))
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        for file in ["token", "ca.crt"] {
            let path = account.join(file);
            if !path.is_file() {
                return Err(format!("no file {}", path.display()));
            }
        }
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        Ok(Self {
            base: format!("https://{host}:{port}"),
            account: account.to_owned(),
        })
    }

    /// Returns an API server without TLS.
    #[cfg(test)]
    pub(super) fn plain(base: String, account: PathBuf) -> Self {
        Self { base, account }
    }

    /// Returns the namespace of the pod, or why it is not known.
    pub(crate) fn namespace(&self) -> Result<String, String> {
        let path = self.account.join("namespace");
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let roots = match self.base.starts_with("https:") {
            true => roots(&self.account.join("ca.crt"))?,
            false => rustls::RootCertStore::empty(),
        };
        // The provider is named here: a program that links this crate may have set none.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Proxies of the environment lead out of the cluster.
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| error.to_string())
    }
}

/// Trusts the cluster's own authority, and nobody else.
fn roots(ca: &Path) -> Result<rustls::RootCertStore, String> {
    let unusable = |reason: String| format!("{}: {reason}", ca.display());
    let mut roots = rustls::RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(ca).map_err(|error| unusable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("expected certificates, found none".to_owned()));
    }
    Ok(roots)
}

impl Api {
    pub(super) fn new(
        cluster: &Cluster,
        namespace: String,
        name: String,
        timeout: Duration,
    ) -> Result<Self, String> {
        let base = &cluster.base;
        Ok(Self {
            client: cluster.client()?,
            all: format!("{base}/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            name,
            namespace,
            token: cluster.account.join("token"),
            timeout,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the Lease; `None` when there is none.
    pub(super) async fn get(&self) -> Result<Option<Lease>, Failure> {
        let path = format!("/{}", self.name);
        match self.request(Method::GET, &path, "get", None).await {
            Ok(lease) => Ok(Some(lease)),
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes the Lease; a conflict when there is one.
    pub(super) async fn create(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.request(Method::POST, "", "create", Some(lease)).await
    }

    /// Writes the Lease; a conflict unless it is of the version that was read.
    pub(super) async fn update(&self, lease: &Lease) -> Result<Lease, Failure> {
        let path = format!("/{}", self.name);
        self.request(Method::PUT, &path, "update", Some(lease))
            .await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        verb: &str,
        body: Option<&Lease>,
    ) -> Result<Lease, Failure> {
        let asked = self.ask(method, path, body);
        let failed = |reason: String| {
            let (namespace, name) = (&self.namespace, &self.name);
            Failure::Other(format!(
                "cannot {verb} the Lease {namespace}/{name}: {reason}"
            ))
        };
        let (status, body) = match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer.map_err(failed)?,
            Err(_) => return Err(failed(format!("no answer within {:?}", self.timeout))),
        };
        match status {
            StatusCode::CONFLICT => Err(Failure::Conflict),
            StatusCode::NOT_FOUND if verb != "create" => Err(Failure::Missing),
            StatusCode::FORBIDDEN => Err(failed(format!(
                "the service account may not; bind it to a role of the namespace {} with \
                 apiGroups [\"coordination.k8s.io\"], resources [\"leases\"], verbs [\"get\", \
                 \"create\", \"update\"]",
                self.namespace
            ))),
            StatusCode::UNAUTHORIZED => {
                let token = self.token.display();
                Err(failed(format!("the token in {token} was refused")))
            }
            status if status.is_success() => serde_json::from_slice(&body)
                .map_err(|error| failed(format!("expected a Lease, found {error}"))),
            status => {
                let said: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                Err(failed(format!("the API server answered {status}: {said}")))
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Lease>,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        // Tokens are replaced while the pod runs.
        let token = tokio::fs::read_to_string(&self.token).await;
        let token = token.map_err(|error| format!("{}: {error}", self.token.display()))?;
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.all))
            .bearer_auth(token.trim())
            .header("accept", "application/json");
        if let Some(lease) = body {
            let json = serde_json::to_vec(lease).map_err(|error| error.to_string())?;
            request = request
                .header("content-type", "application/json")
                .body(json);
        }
        let mut answer = request.send().await.map_err(whole)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(whole)? {
            if bytes.len() + chunk.len() > ANSWER {
                return Err(format!("the answer is larger than {ANSWER} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((answer.status(), bytes))
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pod_knows_its_cluster_and_what_it_lacks() {
        let folder = std::env::temp_dir().join(format!("celeriac-pod-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let env = |host: &'static str| {
            move |name: &str| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
                _ => None,
            }
        };
        let found = Cluster::find(|_| None, &folder);
        assert_eq!(
            found,
            Err("no environment variable KUBERNETES_SERVICE_HOST".to_owned())
        );
        assert!(
            Cluster::find(env("::1"), &folder)
                .unwrap_err()
                .ends_with("token")
        );
        for (file, text) in [("token", "t"), ("ca.crt", ""), ("namespace", "work\n")] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let cluster = Cluster::find(env("::1"), &folder).unwrap();
        assert_eq!(cluster.base, "https://[::1]:443");
        assert_eq!(cluster.namespace().unwrap(), "work");
        // Without the cluster's authority nobody is asked: not with one of the system either.
        let error = cluster.client().unwrap_err();
        assert!(
            error.ends_with("expected certificates, found none"),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
