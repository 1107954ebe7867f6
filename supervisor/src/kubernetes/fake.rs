//! An API server that is made up: TLS, tokens, objects of any kind, and faults.
//!
//! Used by the tests of this crate and, as a program, by those of the whole. The certificates
//! beside this file are of an authority whose key was thrown away; `other.pem` is another
//! authority's. They hold until 2126.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// The authority that vouches for the server, and another one.
pub const AUTHORITY: &str = include_str!("fake/ca.pem");
pub const ANOTHER: &str = include_str!("fake/other.pem");

/// An API server that is made up, with a folder as pods find theirs. Clones share it.
#[derive(Clone)]
pub struct Server {
    pub shared: Arc<Mutex<Kept>>,
    pub address: SocketAddr,
    pub folder: PathBuf,
}

/// What it has, and how it is broken.
pub struct Kept {
    /// By kind and name.
    pub objects: BTreeMap<(String, String), Value>,
    version: u64,
    /// The token that is let in.
    pub token: String,
    /// What everybody gets.
    pub broken: Option<u16>,
    /// What is refused for want of a right: verb and kind, such as `patch pods`.
    pub forbidden: BTreeSet<String>,
    /// So many changes are put off with 429.
    pub throttled: u32,
    /// The seconds that it then wants to be left alone.
    pub retry_after: u64,
    /// Never answers.
    pub mute: bool,
    /// How long each answer takes, in milliseconds.
    pub slow: u64,
    /// Somebody else writes between a read and the write after it, so often.
    pub races: u32,
    /// What was asked, the oldest first: verb, kind and name.
    pub calls: Vec<String>,
}

impl Server {
    /// Starts one on a free port; puts token, authority and namespace into a folder.
    pub async fn start(folder: &Path, namespace: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let server = Self {
            shared: Arc::new(Mutex::new(Kept {
                objects: BTreeMap::new(),
                version: 1,
                token: "one".to_owned(),
                broken: None,
                forbidden: BTreeSet::new(),
                throttled: 0,
                retry_after: 1,
                mute: false,
                slow: 0,
                races: 0,
                calls: Vec::new(),
            })),
            address: listener.local_addr().unwrap(),
            folder: folder.to_owned(),
        };
        server.give("token", "one\n");
        server.give("ca.crt", AUTHORITY);
        server.give("namespace", namespace);
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(server.clone());
        tokio::spawn(axum::serve(Tls::new(listener), router).into_future());
        server
    }

    /// Puts a file where pods find it, as kubelets do: never half of it.
    pub fn give(&self, file: &str, text: &str) {
        let new = self.folder.join(format!(".{file}"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.join(file)).unwrap();
    }

    pub fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.shared.lock().unwrap())
    }

    /// Returns an object, null when there is none.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        self.kept(|kept| kept.get(kind, name).cloned().unwrap_or_default())
    }

    /// Returns how often something was asked, such as `patch pods`.
    pub fn count(&self, what: &str) -> usize {
        let asked = |call: &&String| call.starts_with(what);
        self.kept(|kept| kept.calls.iter().filter(asked).count())
    }
}

impl Kept {
    fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), name.to_owned()))
    }

    /// Puts an object in the place of what was there; one of version 1 and up.
    pub fn put(&mut self, kind: &str, name: &str, mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(name);
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        let key = (kind.to_owned(), name.to_owned());
        self.objects.insert(key, object.clone());
        object
    }

    pub fn remove(&mut self, kind: &str, name: &str) {
        self.objects.remove(&(kind.to_owned(), name.to_owned()));
    }

    /// Answers what one reads with a list.
    fn list(&self, kind: &str, query: &BTreeMap<String, String>, metadata: bool) -> Value {
        let after = query.get("continue").cloned().unwrap_or_default();
        let limit = query.get("limit").and_then(|limit| limit.parse().ok());
        let limit = limit.unwrap_or(usize::MAX);
        let wanted = query.get("labelSelector").map_or("", String::as_str);
        let wanted: Vec<_> = wanted
            .split(',')
            .filter_map(|one| one.split_once('='))
            .collect();
        let found = self.objects.iter().filter(|((of, name), object)| {
            let labels = &object["metadata"]["labels"];
            of == kind && *name > after && wanted.iter().all(|(key, value)| labels[key] == *value)
        });
        let mut found: Vec<_> = found.take(limit.saturating_add(1)).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = match found.last() {
            Some(((_, name), _)) if more => name.clone(),
            _ => String::new(),
        };
        let item = |object: &Value| match metadata {
            true => json!({ "metadata": object["metadata"] }),
            false => object.clone(),
        };
        let items: Vec<_> = found.into_iter().map(|(_, object)| item(object)).collect();
        json!({
            "kind": if metadata { "PartialObjectMetadataList" } else { "List" },
            "metadata": { "resourceVersion": self.version.to_string(), "continue": next },
            "items": items,
        })
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (mute, slow) = server.kept(|kept| (kept.mute, kept.slow));
    if mute {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let headers = request.headers().clone();
    let header = |name: &str| {
        let value = headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned()
    };
    let (bearer, accept, media) = (
        header("authorization"),
        header("accept"),
        header("content-type"),
    );
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap_or_default();
    let Some((kind, name)) = place(uri.path()) else {
        return status(StatusCode::NOT_FOUND, "no such path");
    };
    let verb = match method {
        Method::GET if name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ => "delete",
    };
    server.kept(|kept| {
        kept.calls
            .push(format!("{verb} {kind} {name}").trim().to_owned());
        if let Some(broken) = kept.broken {
            return status(StatusCode::from_u16(broken).unwrap(), "out of order");
        }
        if bearer != format!("Bearer {}", kept.token) {
            return status(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        if kept.forbidden.contains(&format!("{verb} {kind}")) {
            let text = format!("{kind} is forbidden: User \"celeriac\" cannot {verb} it");
            return status(StatusCode::FORBIDDEN, &text);
        }
        if verb == "patch" && kept.throttled > 0 {
            kept.throttled -= 1;
            let mut answer = status(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            let wait = kept.retry_after.to_string().parse().unwrap();
            answer.headers_mut().insert("retry-after", wait);
            return answer;
        }
        let metadata = accept.starts_with("application/json;as=PartialObjectMetadata");
        let found = kept.get(&kind, &name).cloned();
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        match (verb, found) {
            ("list", _) => {
                let answer = kept.list(&kind, &pairs(&uri), metadata);
                axum::Json(answer).into_response()
            }
            ("create", _) => {
                let name = body["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                match kept.get(&kind, &name) {
                    Some(_) => status(StatusCode::CONFLICT, "already exists"),
                    None => axum::Json(kept.put(&kind, &name, body)).into_response(),
                }
            }
            (_, None) => status(StatusCode::NOT_FOUND, "not found"),
            ("get", Some(object)) => {
                if kept.races > 0 {
                    kept.races -= 1;
                    kept.put(&kind, &name, object.clone());
                }
                axum::Json(object).into_response()
            }
            ("update", Some(object)) if version(&object) != version(&body) => {
                status(StatusCode::CONFLICT, "the object has been modified")
            }
            ("update", Some(_)) => axum::Json(kept.put(&kind, &name, body)).into_response(),
            ("patch", Some(_)) if media != "application/merge-patch+json" => {
                status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a merge patch")
            }
            ("patch", Some(mut object)) => {
                let uid = &body["metadata"]["uid"];
                if !uid.is_null() && *uid != object["metadata"]["uid"] {
                    return status(StatusCode::CONFLICT, "the uid is another one");
                }
                merge(&mut object, &body);
                axum::Json(kept.put(&kind, &name, object)).into_response()
            }
            (_, Some(_)) => {
                kept.remove(&kind, &name);
                status(StatusCode::OK, "deleted")
            }
        }
    })
}

/// Reads kind and name out of a path; the name of a list is empty.
fn place(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/api/v1/").or_else(|| {
        let rest = path.strip_prefix("/apis/")?;
        let (_group, rest) = rest.split_once('/')?;
        rest.strip_prefix("v1/")
    })?;
    let (_namespace, rest) = rest.strip_prefix("namespaces/")?.split_once('/')?;
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    Some((kind.to_owned(), name.to_owned()))
}

fn pairs(uri: &Uri) -> BTreeMap<String, String> {
    let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(uri);
    query.map(|query| query.0).unwrap_or_default()
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
            value => merge(&mut target[key], value),
        }
    }
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({ "kind": "Status", "code": code.as_u16(), "message": message });
    (code, axum::Json(body)).into_response()
}

/// Takes connections with TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    fn new(listener: TcpListener) -> Self {
        let pem = include_bytes!("fake/server.pem");
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("fake/server.key")).unwrap();
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.unwrap(), key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self { listener, acceptor }
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Who does not trust the certificate hangs up.
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
