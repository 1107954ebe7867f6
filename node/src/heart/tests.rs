#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use celeriac::App;
use celeriac::broker::{Binding, Consumer, Queue, Subscription};
use celeriac::protocol::event::Load;
use celeriac::protocol::json;
use celeriac::protocol::{Table, Value};
use tokio::sync::mpsc;

use super::*;
use crate::config::Config;
use crate::shared::Phase;

fn started(id: &str) -> EventKind {
    EventKind::TaskStarted {
        uuid: id.to_owned(),
    }
}

fn node(events: bool) -> Arc<Shared> {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .build()
        .unwrap();
    let heartbeat = Duration::from_millis(100);
    let config = Config {
        name: "w1@vm".to_owned(),
        heartbeat,
        events,
        ..Config::default()
    };
    let handle = tokio::runtime::Handle::current();
    Shared::new(app, config, handle, mpsc::channel(1).0)
}

/// Listens to all events, as Flower does.
async fn listener(shared: &Shared) -> Box<dyn Consumer> {
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
        queues: vec![Queue::private("celeryev.test")],
        bindings: vec![Binding::new(naming::EVENT_EXCHANGE, "celeryev.test", "#")],
    };
    let broker = shared.app.broker();
    broker.declare(&topology).await.unwrap();
    broker
        .consume(Subscription::unacknowledged("celeryev.test"))
        .await
        .unwrap()
}

async fn heard(consumer: &mut dyn Consumer, count: usize) -> Vec<(String, Event)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        for delivery in consumer.next(64).await.unwrap() {
            delivery.receipt.acknowledge();
            assert_eq!(delivery.message.properties.delivery_mode, Some(1));
            let hostname = delivery.message.headers.get("hostname").unwrap();
            assert_eq!(hostname.as_str(), Some("w1@vm"));
            let events = Event::decode_batch(&delivery.message.body).unwrap();
            heard.extend(
                events
                    .into_iter()
                    .map(|event| (delivery.routing_key.clone(), event)),
            );
        }
    }
    heard
}

#[test]
fn heartbeats_have_celerys_fields_in_celerys_order() {
    let vitals = Vitals {
        load: Load {
            active: 1,
            processed: 58,
            loadavg: [3.93, 3.81, 2.51],
        },
        draining: false,
        events_sent: 7,
        slots: 4,
        reserved: 3,
        running_seconds: 90,
    };
    let event = |vitals: Vitals| {
        let kind = EventKind::WorkerHeartbeat(vitals.with_freq(2.0));
        Event::new("w1@vm", 9, 566, UNIX_EPOCH, kind).encode()
    };
    let keys = |body: &[u8]| -> Vec<String> {
        let table: Table = json::from_slice(body, "event").unwrap();
        table.iter().map(|(key, _)| key.to_owned()).collect()
    };
    assert_eq!(
        keys(&event(vitals)),
        [
            "hostname",
            "utcoffset",
            "pid",
            "clock",
            "freq",
            "active",
            "processed",
            "loadavg",
            "sw_ident",
            "sw_ver",
            "sw_sys",
            "events_sent",
            "slots",
            "reserved",
            "running_seconds",
            "timestamp",
            "type"
        ]
    );
    let draining = event(Vitals {
        draining: true,
        ..vitals
    });
    let table: Table = json::from_slice(&draining, "event").unwrap();
    assert_eq!(table.get("draining"), Some(&Value::Bool(true)));
    assert_eq!(table.get("sw_ident").unwrap().as_str(), Some("celeriac"));
}

#[test]
fn task_events_travel_as_a_list_with_rising_clocks() {
    let mut clock = 0;
    let at = UNIX_EPOCH + Duration::from_secs(3);
    let events = ["a", "b"].map(|id| TaskEvent {
        at,
        kind: started(id),
    });
    let clock = || {
        clock += 1;
        clock
    };
    let message = task_events("w1@vm", 9, clock, events.into_iter());
    let events = Event::decode_batch(&message.body).unwrap();
    assert_eq!(
        events.iter().map(|event| event.clock).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(events[1].kind, started("b"));
    assert!((events[0].timestamp - 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_node_comes_lives_and_goes() {
    let shared = node(true);
    let mut ear = listener(&shared).await;
    let stop = CancellationToken::new();
    let pulse = Pulse::default();
    let beating = tokio::spawn(beat(Arc::clone(&shared), stop.clone(), pulse.clone()));

    let first = heard(&mut *ear, 3).await;
    let keys: Vec<_> = first.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys[0], "worker.online");
    assert!(
        keys[1..].iter().all(|key| *key == "worker.heartbeat"),
        "{keys:?}"
    );

    shared
        .events
        .emit((0..30).map(|number| started(&number.to_string())));
    let mut ids = Vec::new();
    while ids.len() < 30 {
        for (key, event) in heard(&mut *ear, 1).await {
            if let EventKind::TaskStarted { uuid } = event.kind {
                assert_eq!(key, "task.multi");
                ids.push(uuid);
            }
        }
    }
    assert_eq!(
        ids,
        (0..30).map(|number| number.to_string()).collect::<Vec<_>>()
    );

    shared.events.emit([started("last")]);
    // As if four had found no room.
    shared.events.note(4, false);
    shared.enter(Phase::Draining);
    stop.cancel();
    beating.await.unwrap();
    let mut rest = Vec::new();
    while rest.last().is_none_or(|(key, _)| key != "worker.offline") {
        rest.extend(heard(&mut *ear, 1).await);
    }
    let last = rest.iter().find(|(key, _)| key == "task.multi").unwrap();
    assert_eq!(last.1.kind, started("last"));
    let EventKind::WorkerOffline(status) = &rest.last().unwrap().1.kind else {
        panic!("{rest:?}")
    };
    assert_eq!(status.extra.get("draining"), Some(&Value::Bool(true)));
    assert_eq!(status.extra.get("events_sent"), Some(&Value::Int(35)));
    let clocks: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|(_, event)| event.clock)
        .collect();
    assert!(clocks.is_sorted(), "{clocks:?}");
    assert!(pulse.turns() > 0);
}

#[tokio::test]
async fn a_heartbeat_that_was_asked_for_is_short() {
    let shared = node(false);
    let mut ear = listener(&shared).await;
    answer(&shared).await;
    let (key, event) = heard(&mut *ear, 1).await.remove(0);
    assert_eq!(key, "worker.heartbeat");
    let EventKind::WorkerHeartbeat(status) = event.kind else {
        panic!("{event:?}")
    };
    assert_eq!((status.load, status.freq), (None, 5.0));
}

#[tokio::test]
async fn who_stands_for_election_is_answered() {
    let shared = node(false);
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
        queues: vec![Queue::private("acks")],
        bindings: vec![Binding::new(
            naming::EVENT_EXCHANGE,
            "acks",
            "worker.elect.ack",
        )],
    };
    let broker = shared.app.broker();
    broker.declare(&topology).await.unwrap();
    let subscription = Subscription::unacknowledged("acks");
    let mut acks = broker.consume(subscription).await.unwrap();
    let stop = CancellationToken::new();
    let answering = election::answer(Arc::clone(&shared), stop.clone(), Pulse::default());
    let answering = tokio::spawn(answering);
    let kind = EventKind::WorkerElect {
        id: "e1".to_owned(),
        topic: "task".to_owned(),
        action: Value::Null,
        cver: 1,
    };
    let candidate = Event::new("py@vm", 1, 40, clock::now(), kind);
    // Until somebody listens nobody answers.
    let ack = loop {
        publish(&shared, &candidate.routing_key(), candidate.to_message()).await;
        if let Ok(ack) = timeout(Duration::from_millis(100), acks.next(1)).await {
            break Event::decode_batch(&ack.unwrap()[0].message.body).unwrap();
        }
    };
    assert_eq!(ack[0].hostname, "w1@vm");
    assert!(ack[0].clock > 40);
    let id = "e1".to_owned();
    assert_eq!(ack[0].kind, EventKind::WorkerElectAck { id });
    stop.cancel();
    answering.await.unwrap();
}

// S37.
#[tokio::test]
async fn a_new_tempo_is_promised_before_it_counts() {
    let shared = node(false);
    let mut ear = listener(&shared).await;
    let stop = CancellationToken::new();
    let beating = tokio::spawn(beat(Arc::clone(&shared), stop.clone(), Pulse::default()));
    let freq = |event: &Event| match &event.kind {
        EventKind::WorkerHeartbeat(status) | EventKind::WorkerOnline(status) => status.freq,
        other => panic!("{other:?}"),
    };
    for (_, event) in heard(&mut *ear, 3).await {
        assert_eq!(freq(&event), 0.1);
    }
    let told = Instant::now();
    shared.tempo.tell(Duration::from_secs(20), told);
    while freq(&heard(&mut *ear, 1).await[0].1) != 20.0 {}
    // That came at once, and not with the next interval.
    assert!(told.elapsed() < Duration::from_secs(5));
    stop.cancel();
    beating.await.unwrap();
}

// S45: the start of a task that came again is told, however early it comes.
#[tokio::test]
async fn a_start_is_told_once_there_is_somewhere_to_speak() {
    let shared = node(true);
    let mut consumer = listener(&shared).await;
    announce(&shared, "early").await;
    let stop = CancellationToken::new();
    let beating = tokio::spawn(beat(Arc::clone(&shared), stop.clone(), Pulse::default()));
    let told = async {
        loop {
            let events = heard(&mut *consumer, 1).await;
            if events
                .iter()
                .any(|(_, event)| event.kind == started("early"))
            {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
    stop.cancel();
    beating.await.unwrap();
}
