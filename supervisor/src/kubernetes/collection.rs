//! The objects of one kind in one namespace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Client, Question};
use super::failure::Failure;
use super::selector::Selector;

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    /// As people call one of them.
    one: &'static str,
    /// The verbs that a role must allow for what is done with them here.
    verbs: &'static [&'static str],
}

/// The objects of one kind in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    client: Arc<Client>,
    kind: Kind,
    namespace: String,
    timeout: Duration,
}

/// What of the objects is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Names, labels, annotations and the like: a tenth of what a pod is.
    Metadata,
}

/// What to ask of one object, or of all when it has no name.
struct Request<'a> {
    method: Method,
    verb: &'static str,
    name: &'a str,
    part: Part,
    query: &'a [(&'static str, &'a str)],
    body: Option<(&'static str, Vec<u8>)>,
}

/// A page of a list.
#[derive(serde::Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, serde::Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// How the API server says what is wrong.
#[derive(Default, serde::Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

/// How many objects a list has at most.
const MOST: usize = 20_000;
/// How many characters of what the API server says are repeated.
const SAID: usize = 200;

impl Kind {
    pub(crate) const LEASES: Self = Self {
        group: "coordination.k8s.io",
        version: "v1",
        plural: "leases",
        one: "Lease",
        verbs: &["get", "create", "update"],
    };
    pub(crate) const PODS: Self = Self {
        group: "",
        version: "v1",
        plural: "pods",
        one: "pod",
        verbs: &["list", "patch"],
    };
    pub(crate) const DEPLOYMENTS: Self = Self {
        group: "apps",
        version: "v1",
        plural: "deployments",
        one: "Deployment",
        verbs: &["list"],
    };
}

impl<'a> Request<'a> {
    const fn new(method: Method, verb: &'static str, name: &'a str) -> Self {
        Self {
            method,
            verb,
            name,
            part: Part::Whole,
            query: &[],
            body: None,
        }
    }
}

impl Part {
    const fn accept(self, list: bool) -> &'static str {
        match (self, list) {
            (Self::Whole, _) => "application/json",
            (Self::Metadata, true) => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            }
            (Self::Metadata, false) => {
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
            }
        }
    }

    /// How many objects a page of a list has.
    const fn page(self) -> usize {
        match self {
            Self::Whole => 100,
            Self::Metadata => 500,
        }
    }
}

impl Collection {
    /// Names the objects; each request may take `timeout`.
    pub(crate) fn new(
        client: &Arc<Client>,
        kind: Kind,
        namespace: &str,
        timeout: Duration,
    ) -> Self {
        Self {
            client: Arc::clone(client),
            kind,
            namespace: namespace.to_owned(),
            timeout,
        }
    }

    /// Reads one; `None` when there is none.
    pub(crate) async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        match self.ask(Request::new(Method::GET, "get", name)).await {
            Ok(body) => self.read("get", name, &body).map(Some),
            Err(Failure::Missing(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes one; a conflict when there is one of the name.
    pub(crate) async fn create<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        object: &T,
    ) -> Result<T, Failure> {
        let request = Request {
            body: Some(self.write("create", name, object)?),
            ..Request::new(Method::POST, "create", name)
        };
        self.read("create", name, &self.ask(request).await?)
    }

    /// Writes one; a conflict unless it is of the version that was read.
    pub(crate) async fn update<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        object: &T,
    ) -> Result<T, Failure> {
        let request = Request {
            body: Some(self.write("update", name, object)?),
            ..Request::new(Method::PUT, "update", name)
        };
        self.read("update", name, &self.ask(request).await?)
    }

    /// Changes what a merge patch (RFC 7386) says of one.
    pub(crate) async fn patch(&self, name: &str, patch: &Value) -> Result<(), Failure> {
        let (_, body) = self.write("patch", name, patch)?;
        let request = Request {
            part: Part::Metadata,
            body: Some(("application/merge-patch+json", body)),
            ..Request::new(Method::PATCH, "patch", name)
        };
        self.ask(request).await.map(drop)
    }

    /// Reads all that a selector picks, page by page. A list that changed too much while it
    /// was read is read again once.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        selector: Option<&Selector>,
        part: Part,
    ) -> Result<Vec<T>, Failure> {
        match self.pages(selector, part).await {
            Err(Failure::Expired(_)) => self.pages(selector, part).await,
            read => read,
        }
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        selector: Option<&Selector>,
        part: Part,
    ) -> Result<Vec<T>, Failure> {
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let limit = part.page().to_string();
            let mut query = vec![("limit", &*limit)];
            query.extend(selector.map(|selector| ("labelSelector", selector.as_str())));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let request = Request {
                part,
                query: &query,
                ..Request::new(Method::GET, "list", "")
            };
            let page: Page<T> = self.read("list", "", &self.ask(request).await?)?;
            items.extend(page.items);
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(items);
            }
            if items.len() >= MOST {
                let reason = format!("expected {MOST} at most, found more");
                return Err(Failure::Other(self.failed("list", "", &reason)));
            }
        }
    }

    /// Returns the path of one of them, or of all.
    fn path(&self, name: &str) -> String {
        let Kind {
            group,
            version,
            plural,
            ..
        } = self.kind;
        let root = match group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let slash = if name.is_empty() { "" } else { "/" };
        let namespace = &self.namespace;
        format!("{root}/namespaces/{namespace}/{plural}{slash}{name}")
    }

    async fn ask(&self, request: Request<'_>) -> Result<Vec<u8>, Failure> {
        let Request { verb, name, .. } = request;
        // What is made has no place yet.
        let place = if verb == "create" { "" } else { name };
        let question = Question {
            method: request.method,
            path: &self.path(place),
            query: request.query,
            accept: request.part.accept(verb == "list"),
            body: request.body,
        };
        let asked = tokio::time::timeout(self.timeout, self.client.ask(question)).await;
        let unavailable = |reason: &str, wait| Failure::Unavailable {
            text: self.failed(verb, name, reason),
            wait,
        };
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(unavailable(&reason, None)),
            Err(_) => {
                let reason = format!("no answer within {:?}", self.timeout);
                return Err(unavailable(&reason, None));
            }
        };
        let status = answer.status;
        if status.is_success() {
            return Ok(answer.body);
        }
        let said = said(&answer.body);
        let answered = || format!("the API server answered {status}{said}");
        Err(match status {
            StatusCode::CONFLICT => Failure::Conflict(self.which(name)),
            StatusCode::NOT_FOUND if matches!(verb, "get" | "update" | "patch") => {
                Failure::Missing(self.which(name))
            }
            StatusCode::FORBIDDEN => {
                let reason = format!("{}{said}", self.missing_right(verb));
                Failure::Forbidden(self.failed(verb, name, &reason))
            }
            StatusCode::UNAUTHORIZED => {
                let token = self.client.token_path();
                let reason = format!("401: the token in {} was refused", token.display());
                Failure::Other(self.failed(verb, name, &reason))
            }
            StatusCode::GONE => Failure::Expired(self.failed(verb, name, &answered())),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                unavailable(&answered(), answer.wait)
            }
            status if status.is_server_error() => unavailable(&answered(), answer.wait),
            _ => Failure::Other(self.failed(verb, name, &answered())),
        })
    }

    fn write<T: Serialize>(
        &self,
        verb: &'static str,
        name: &str,
        object: &T,
    ) -> Result<(&'static str, Vec<u8>), Failure> {
        let body = serde_json::to_vec(object);
        let body = body.map_err(|error| self.failed(verb, name, &error.to_string()));
        Ok(("application/json", body.map_err(Failure::Other)?))
    }

    fn read<T: DeserializeOwned>(
        &self,
        verb: &'static str,
        name: &str,
        body: &[u8],
    ) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            let reason = format!("expected {self}, found {error}");
            Failure::Other(self.failed(verb, name, &reason))
        })
    }

    fn failed(&self, verb: &str, name: &str, reason: &str) -> String {
        format!("cannot {verb} the {}: {reason}", self.which(name))
    }

    fn which(&self, name: &str) -> String {
        match name {
            "" => self.to_string(),
            name => format!("{} {}/{name}", self.kind.one, self.namespace),
        }
    }

    /// Says which right is missing, and the rule that gives it.
    fn missing_right(&self, verb: &str) -> String {
        let Kind {
            group,
            plural,
            verbs,
            ..
        } = self.kind;
        let verbs = verbs.join("\", \"");
        format!(
            "403: the service account may not {verb} {plural} in namespace {}: see k8s/base, where \
             a role allows apiGroups [\"{group}\"], resources [\"{plural}\"], verbs [\"{verbs}\"]",
            self.namespace
        )
    }
}

/// Returns what the API server said, to be put behind a status.
fn said(body: &[u8]) -> String {
    let message = match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let message: String = message
        .chars()
        .filter(|c| !c.is_control())
        .take(SAID)
        .collect();
    match message.trim() {
        "" => String::new(),
        message => format!("; it said: {message}"),
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of namespace {}", self.kind.plural, self.namespace)
    }
}
