#![allow(clippy::unwrap_used)]

use std::time::Duration;

use celeriac::broker::Link;
use celeriac::{App, task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::routes::reasons;
use super::*;
use crate::config::Config;
use crate::shared::Phase;

#[task(name = "demo.noop")]
async fn noop() {}

fn node() -> Arc<Shared> {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .task(noop);
    let config = Config {
        name: "w1@vm".to_owned(),
        concurrency: 3,
        ..Config::default()
    };
    let handle = tokio::runtime::Handle::current();
    Shared::new(app.build().unwrap(), config, handle, mpsc::channel(1).0)
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn serve(shared: &Arc<Shared>) -> (Health, SocketAddr) {
    let bound = Bound::new("127.0.0.1:0".parse().unwrap()).unwrap();
    let health = Health::start(Arc::clone(shared), Some(bound)).unwrap();
    (health, *shared.http.get().unwrap())
}

#[tokio::test]
async fn a_node_is_ready_when_it_consumes_all_its_queues() {
    let shared = node();
    let (health, address) = serve(&shared);
    let mut link = shared.app.broker().link();
    link.wait_for(Link::is_up).await.unwrap();

    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("the node is starting"), "{body}");
    assert_eq!(get(address, "/livez").await.0, 200);

    let queue = Arc::<crate::shared::QueueState>::default();
    shared.queues.insert("mail".to_owned(), Arc::clone(&queue));
    shared.enter(Phase::Running);
    let (status, body) = get(address, "/readyz").await;
    let expected = r#"{"ok":false,"reasons":["no consumer on the queue mail"]}"#;
    assert_eq!((status, body.as_str()), (503, expected));

    shared.set_consuming(&queue, true);
    assert_eq!(
        get(address, "/readyz").await,
        (200, r#"{"ok":true,"reasons":[]}"#.to_owned())
    );

    shared.enter(Phase::Draining);
    assert_eq!(get(address, "/readyz").await.0, 503);
    assert_eq!(get(address, "/else").await.0, 404);
    drop(health);
    TcpStream::connect(address).await.unwrap_err();
}

#[test]
fn a_broker_that_is_away_is_a_reason() {
    let away = Link::Connecting {
        failures: 3,
        error: Some("refused".to_owned()),
    };
    assert_eq!(
        reasons(Phase::Running, &away, vec!["b".into(), "a".into()]),
        [
            "the broker is out of reach (3 tries failed): refused",
            "no consumer on the queue a",
            "no consumer on the queue b"
        ]
    );
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Bound::new(address).unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on"), "{error}");
    assert!(error.contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_silent_client_does_not_hold_up_the_end() {
    let shared = node();
    let (health, address) = serve(&shared);
    let _silent = TcpStream::connect(address).await.unwrap();
    let start = std::time::Instant::now();
    tokio::task::spawn_blocking(move || drop(health))
        .await
        .unwrap();
    assert!(start.elapsed() < GRACE + Duration::from_secs(5));
}

#[tokio::test]
async fn metrics_are_those_of_the_node() {
    let shared = node();
    let (_health, address) = serve(&shared);
    shared.queues.insert("mail".to_owned(), Arc::default());
    let task = shared.counters.task("demo.noop").unwrap();
    task.succeeded.add(2);
    task.runtime.observe(Duration::from_millis(3));
    let (status, text) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"celeriac_node_tasks_total{name="demo.noop",outcome="succeeded"} 2"#,
        r#"celeriac_node_task_runtime_seconds_count{name="demo.noop"} 1"#,
        r#"celeriac_node_task_runtime_seconds_bucket{le="0.005",name="demo.noop"} 1"#,
        r#"celeriac_node_task_runtime_seconds_bucket{le="+Inf",name="demo.noop"} 1"#,
        "celeriac_node_slots 3",
        r#"celeriac_node_consuming{queue="mail"} 0"#,
        "celeriac_node_events_dropped_total 0",
        "celeriac_node_reconnects_total 0",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
}

#[tokio::test]
async fn what_the_dashboard_and_the_alerts_ask_for_is_served() {
    let shared = node();
    let (_health, address) = serve(&shared);
    shared.queues.insert("mail".to_owned(), Arc::default());
    shared
        .restarts
        .lock()
        .unwrap()
        .insert("heart".to_owned(), 1);
    let (_, text) = get(address, "/metrics").await;
    let words = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("celeriac_node_"))
            .map(str::to_owned)
            .collect()
    };
    let served = words(&text);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s/components/monitoring");
    for file in ["dashboard.json", "rules.yaml"] {
        let path = format!("{folder}/{file}");
        let asked = words(&std::fs::read_to_string(path).unwrap());
        assert!(asked.len() > 2, "{file}: {asked:?}");
        for name in asked {
            assert!(served.contains(&name), "{file} asks for {name}");
        }
    }
}
