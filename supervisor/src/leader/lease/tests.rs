//! Candidates for a Lease at an API server that is made up, over HTTP.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::extract::{Path as UrlPath, Request, State as Shared};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::*;

/// An API server with one Lease at most.
#[derive(Clone)]
struct Server {
    shared: Arc<Mutex<Kept>>,
    address: SocketAddr,
    folder: PathBuf,
}

struct Kept {
    lease: Option<Value>,
    version: u64,
    /// Tokens that are let in; what all others get.
    token: &'static str,
    /// What everybody gets.
    broken: Option<StatusCode>,
    /// Never answers.
    mute: bool,
    /// Somebody else writes between a read and the write after it, so often.
    races: u32,
    writes: u32,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = std::env::temp_dir().join(format!("celeriac-lease-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Self {
            shared: Arc::new(Mutex::new(Kept {
                lease: None,
                version: 1,
                token: "one",
                broken: None,
                mute: false,
                races: 0,
                writes: 0,
            })),
            address: listener.local_addr().unwrap(),
            folder,
        };
        server.give("one\n");
        let all = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases";
        let router = axum::Router::new()
            .route(all, axum::routing::any(collection))
            .route(&format!("{all}/{{name}}"), axum::routing::any(single))
            .with_state(server.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        server
    }

    /// Puts a token where pods find it.
    fn give(&self, token: &str) {
        std::fs::write(self.folder.join("token"), token).unwrap();
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.shared.lock().unwrap())
    }

    fn lease(&self) -> Value {
        self.kept(|kept| kept.lease.clone().unwrap_or_default())
    }

    fn candidate(&self, who: &str) -> ByLease {
        let cluster = Cluster::plain(format!("http://{}", self.address), self.folder.clone());
        let spans = Duration::from_secs(3);
        ByLease::new(&cluster, "work".into(), "beat".into(), spans, who).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The router has one too.
        if Arc::strong_count(&self.shared) <= 2 {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

async fn collection(Shared(server): Shared<Server>, request: Request) -> Response {
    answer(&server, request).await
}

async fn single(
    Shared(server): Shared<Server>,
    UrlPath((namespace, name)): UrlPath<(String, String)>,
    request: Request,
) -> Response {
    assert_eq!((namespace.as_str(), name.as_str()), ("work", "beat"));
    answer(&server, request).await
}

async fn answer(server: &Server, request: Request) -> Response {
    if server.kept(|kept| kept.mute) {
        std::future::pending::<()>().await;
    }
    let bearer = request.headers().get("authorization").unwrap().clone();
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), 1 << 16).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap_or_default();
    server.kept(|kept| {
        if let Some(status) = kept.broken {
            return status.into_response();
        }
        if bearer != format!("Bearer {}", kept.token) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match (method, &kept.lease) {
            (Method::GET, None) | (Method::PUT, None) => StatusCode::NOT_FOUND.into_response(),
            (Method::POST, Some(_)) => StatusCode::CONFLICT.into_response(),
            (Method::GET, Some(lease)) => {
                let answer = axum::Json(lease.clone()).into_response();
                if kept.races > 0 {
                    kept.races -= 1;
                    kept.version += 1;
                    let version = kept.version.to_string();
                    kept.lease.as_mut().unwrap()["metadata"]["resourceVersion"] = json!(version);
                }
                answer
            }
            (Method::PUT, Some(lease))
                if lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                StatusCode::CONFLICT.into_response()
            }
            (Method::PUT | Method::POST, _) => {
                kept.version += 1;
                kept.writes += 1;
                let mut lease = body;
                lease["metadata"]["resourceVersion"] = json!(kept.version.to_string());
                kept.lease = Some(lease.clone());
                axum::Json(lease).into_response()
            }
            (method, _) => panic!("nobody asks {method}"),
        }
    })
}

/// Stands as the beat does, until it leads.
async fn elected(candidate: &ByLease) -> Elected {
    let stood = async {
        loop {
            if let Ok(Some(elected)) = candidate.stand().await {
                return elected;
            }
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), stood)
        .await
        .unwrap()
}

async fn within(time: Duration, what: &str, future: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(time, future).await;
    assert!(ended.is_ok(), "{what} not within {time:?}");
}

// S41: one of two leads, and goes on while it renews; the other leads at once when the Lease is
// given back, in a later term.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_until_it_gives_the_lease_back() {
    let server = Server::start().await;
    let (a, b) = (server.candidate("a"), server.candidate("b"));
    assert_eq!(a.kind(), "lease");
    let first = a.stand().await.unwrap().unwrap();
    assert!(b.stand().await.unwrap().is_none());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        assert!(b.stand().await.unwrap().is_none(), "a renews it");
        assert!(first.lock.is_held());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(server.kept(|kept| kept.writes) > 2);
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(0));
    drop(first.lock);
    a.resign().await;
    assert_eq!(server.lease()["spec"]["holderIdentity"], json!(""));
    let second = b.stand().await.unwrap().expect("nobody holds it");
    assert!(second.least > first.least, "terms grow");
    let spec = server.lease()["spec"].clone();
    assert_eq!(spec["leaseTransitions"], json!(1));
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with("b_"));
    assert_eq!(spec["leaseDurationSeconds"], json!(3));
}

// S41: a leader that dies gives nothing back, and is followed within 5 s; never before it would
// have stopped itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_followed_within_five_seconds() {
    let server = Server::start().await;
    let (a, b) = (server.candidate("a"), server.candidate("b"));
    let first = a.stand().await.unwrap().unwrap();
    assert!(b.stand().await.unwrap().is_none());
    let tenure = a.candidate.state.lock().await.tenure.take().unwrap();
    tenure.abort();
    let died = Instant::now();
    let second = elected(&b).await;
    let took = died.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!first.lock.is_held(), "it stopped before another one leads");
    assert!(second.least > first.least);
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(1));
}

// S41: a leader that cannot reach the API server stops before anybody else can lead.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_steps_down_in_time() {
    for mute in [false, true] {
        let server = Server::start().await;
        let a = server.candidate("a");
        let first = a.stand().await.unwrap().unwrap();
        server.kept(|kept| {
            kept.mute = mute;
            kept.broken = Some(StatusCode::SERVICE_UNAVAILABLE);
        });
        within(Duration::from_millis(2_900), "lost", first.lock.lost()).await;
        assert!(!first.lock.is_held());
        server.kept(|kept| (kept.mute, kept.broken) = (false, None));
        let again = elected(&a).await;
        assert!(again.lock.is_held());
        assert!(!first.lock.is_held(), "what is lost stays lost");
        assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_or_a_taken_lease_is_lost() {
    let server = Server::start().await;
    let a = server.candidate("a");
    let first = a.stand().await.unwrap().unwrap();
    server.kept(|kept| kept.lease = None);
    within(Duration::from_secs(2), "lost", first.lock.lost()).await;
    drop(first);
    let second = elected(&a).await;
    server.kept(|kept| {
        let lease = kept.lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = json!("somebody");
        lease["metadata"]["resourceVersion"] = json!("somebody's");
    });
    within(Duration::from_secs(2), "lost", second.lock.lost()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_second_does_not_lead_and_a_leader_outlives_a_race() {
    let server = Server::start().await;
    let a = server.candidate("a");
    let first = a.stand().await.unwrap().unwrap();
    drop(first);
    a.resign().await;
    server.kept(|kept| kept.races = 1);
    assert!(a.stand().await.unwrap().is_none(), "409");
    let first = a.stand().await.unwrap().unwrap();
    // Somebody puts a label on it: the next renewal is refused, and the one after it not.
    server.kept(|kept| {
        let lease = kept.lease.as_mut().unwrap();
        lease["metadata"]["resourceVersion"] = json!("labelled");
        lease["metadata"]["labels"] = json!({ "team": "a" });
    });
    let writes = server.kept(|kept| kept.writes);
    let renewed = async {
        while server.kept(|kept| kept.writes) < writes + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(10), "renewed", renewed).await;
    assert!(first.lock.is_held());
    assert_eq!(server.lease()["metadata"]["labels"]["team"], json!("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_leads() {
    let server = Server::start().await;
    let all: Vec<_> = (0..8).map(|_| server.candidate("same-name")).collect();
    let stood = futures_util::future::join_all(all.iter().map(Election::stand)).await;
    let leading = stood
        .iter()
        .filter(|stood| stood.as_ref().is_ok_and(Option::is_some));
    assert_eq!(leading.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_replaced_is_used() {
    let server = Server::start().await;
    let a = server.candidate("a");
    let first = a.stand().await.unwrap().unwrap();
    server.kept(|kept| kept.token = "two");
    let error = server.candidate("b").stand().await.err().unwrap();
    assert!(error.ends_with("was refused"), "{error}");
    server.give("two\n");
    let writes = server.kept(|kept| kept.writes);
    let renewed = async {
        while server.kept(|kept| kept.writes) < writes + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(10), "renewed", renewed).await;
    assert!(first.lock.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() {
    let server = Server::start().await;
    let a = server.candidate("a");
    server.kept(|kept| kept.broken = Some(StatusCode::FORBIDDEN));
    let error = a.stand().await.err().unwrap();
    assert_eq!(
        error,
        "cannot get the Lease work/beat: the service account may not; bind it to a role of the \
         namespace work with apiGroups [\"coordination.k8s.io\"], resources [\"leases\"], verbs \
         [\"get\", \"create\", \"update\"]"
    );
    assert_eq!(a.candidate.trouble.lock().unwrap().as_ref(), Some(&error));
    server.kept(|kept| kept.broken = None);
    assert!(a.stand().await.unwrap().is_some(), "it keeps trying");
    assert_eq!(*a.candidate.trouble.lock().unwrap(), None);
}
