//! A supervisor on a memory broker, a client that speaks plain HTTP, a node of words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use celeriac::App;
use celeriac::broker::{
    Binding, Broker, Exchange, ExchangeKind, MemoryBroker, Publication, Queue, Subscription,
    Topology,
};
use celeriac_protocol::control::{Reply, Request};
use celeriac_protocol::event::{Event, EventKind, Load, TaskReceived, WorkerStatus};
use celeriac_protocol::{Table, naming};
use celeriac_supervisor::{Config, Error, Stopped, Supervisor};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A supervisor that runs on a memory broker.
pub struct Fixture {
    pub broker: MemoryBroker,
    pub app: App,
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Stopped, Error>>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The settings of most tests: a free port, short times.
pub fn config() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        queue_interval: Duration::from_millis(50),
        stop_timeout: Duration::from_secs(5),
        ..Config::default()
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: Config) -> Self {
        let broker = MemoryBroker::new();
        let app = App::builder("test")
            .broker_value(Arc::new(broker.clone()))
            .backend("memory://");
        Self::of(broker, app.build().unwrap(), config).await
    }

    pub async fn of(broker: MemoryBroker, app: App, config: Config) -> Self {
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let supervisor = Supervisor::new(app.clone(), config)
            .on_ready(move |address| ready.send(address).unwrap());
        let run = tokio::spawn(supervisor.run(async { drop(stopped.await) }));
        let address = started.await.unwrap();
        let fixture = Self {
            broker,
            app,
            address,
            stop,
            run,
        };
        eventually("ready", async || {
            (fixture.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        fixture
    }

    pub async fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, &[], "").await
    }

    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        request(
            self.address,
            "POST",
            path,
            &["Content-Type: application/json"],
            body,
        )
        .await
    }

    /// Sends events as a worker does.
    pub async fn say(&self, events: &[Event]) {
        let message = Event::batch_to_message(&events[0].hostname, events);
        let key = naming::EVENT_BATCH_ROUTING_KEY;
        let publication = Publication::to_exchange(naming::EVENT_EXCHANGE, key, message);
        self.broker.publish(publication).await.unwrap();
    }

    pub async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        self.run.await.unwrap().unwrap()
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The `code` of an error; the whole form is checked.
    pub fn code(&self) -> String {
        let problem = self.json();
        let kind = "content-type: application/problem+json";
        assert!(self.head.contains(kind), "{}", self.head);
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["title"].is_string(), "{problem}");
        assert!(problem["detail"].is_string(), "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Asks once and reads to the end of the connection.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may answer and close before it has read all of a body.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = tokio::time::timeout(Duration::from_secs(20), exchange)
        .await
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Asks again until there is an answer, for ten seconds.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited for ten seconds: {what}");
}

pub fn event(node: &str, pid: u32, clock: u64, kind: EventKind) -> Event {
    Event::new(node, pid, clock, celeriac::clock::now(), kind)
}

pub fn beat(node: &str, clock: u64, freq: f64) -> Event {
    let load = Load {
        active: 1,
        processed: 7,
        loadavg: [0.5, 0.4, 0.3],
    };
    let status = WorkerStatus {
        freq,
        load: Some(load),
        sw_ident: Some("py-celery".to_owned()),
        sw_ver: Some("5.7.0".to_owned()),
        sw_sys: Some("Linux".to_owned()),
        extra: Table::new(),
    };
    event(node, 11, clock, EventKind::WorkerHeartbeat(status))
}

pub fn received(node: &str, clock: u64, id: &str, name: &str) -> Event {
    let received = TaskReceived {
        uuid: id.to_owned(),
        name: name.to_owned(),
        args: Some("(2, 3)".to_owned()),
        kwargs: Some("{}".to_owned()),
        ..TaskReceived::default()
    };
    event(node, 11, clock, EventKind::TaskReceived(Box::new(received)))
}

pub fn started(node: &str, clock: u64, id: &str) -> Event {
    event(
        node,
        11,
        clock,
        EventKind::TaskStarted {
            uuid: id.to_owned(),
        },
    )
}

pub fn succeeded(node: &str, clock: u64, id: &str) -> Event {
    let kind = EventKind::TaskSucceeded {
        uuid: id.to_owned(),
        result: "5".to_owned(),
        runtime: 0.25,
    };
    event(node, 11, clock, kind)
}

/// Answers remote control in the name of a node, until dropped with its task; returns
/// what it was asked through `asked`.
pub async fn answer_control(
    broker: &MemoryBroker,
    node: &'static str,
) -> tokio::sync::mpsc::UnboundedReceiver<Request> {
    let queue = naming::control_queue(node);
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient()],
        queues: vec![Queue::new(&queue)],
        bindings: vec![Binding::new(naming::CONTROL_EXCHANGE, &queue, "")],
    };
    broker.declare(&topology).await.unwrap();
    let mut consumer = broker
        .consume(Subscription::unacknowledged(queue))
        .await
        .unwrap();
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    let broker = broker.clone();
    tokio::spawn(async move {
        while let Some(deliveries) = consumer.next(16).await {
            for delivery in deliveries {
                let request = Request::from_message(&delivery.message).unwrap();
                delivery.receipt.acknowledge();
                if let Some(to) = request.reply_to.clone().filter(|_| request.addresses(node)) {
                    let payload = serde_json::from_str(reply(&request.method)).unwrap();
                    let ticket = request.ticket.clone();
                    let reply = Reply {
                        node: node.to_owned(),
                        payload,
                        ticket,
                        clock: 1,
                    };
                    let message = reply.to_message();
                    let publication =
                        Publication::to_exchange(to.exchange, to.routing_key, message);
                    broker.publish(publication).await.unwrap();
                }
                if tell.send(request).is_err() {
                    return;
                }
            }
        }
    });
    asked
}

fn reply(method: &str) -> &'static str {
    match method {
        "stats" => r#"{"pool": {"max-concurrency": 4}, "prefetch_count": 16}"#,
        "active_queues" => r#"[{"name": "celery"}, {"name": "mail"}]"#,
        "registered" => r#"["app.add", "app.mail [rate_limit=1/s]"]"#,
        "active" => {
            r#"[{"id": "t1", "name": "app.add", "args": [2, 3], "kwargs": {}, "time_start": 1.5,
                 "worker_pid": 7, "delivery_info": {"routing_key": "celery"}}]"#
        }
        "pool_shrink" => r#"{"error": "pool_shrink is not supported with autoscale"}"#,
        _ => r#"{"ok": "pong"}"#,
    }
}
