use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::harness::*;

/// An open stream of events.
struct Stream {
    status: u16,
    lines: Lines<BufReader<OwnedReadHalf>>,
    _write: OwnedWriteHalf,
}

/// One event.
#[derive(Debug)]
struct Told {
    kind: String,
    id: Option<String>,
    data: Value,
}

async fn open(fixture: &Fixture, query: &str, header: &str) -> Stream {
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    let (read, mut write) = stream.into_split();
    let address = fixture.address;
    let head = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: {address}\r\n{header}\r\n");
    write.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(read).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    Stream {
        status,
        lines,
        _write: write,
    }
}

impl Stream {
    /// Returns the next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        let (mut kind, mut id) = (None, None);
        loop {
            let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line());
            let line = line.await.unwrap().unwrap()?;
            if let Some(text) = line.strip_prefix("event: ") {
                kind = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some(Told {
                    kind: kind.unwrap_or_default(),
                    id,
                    data: serde_json::from_str(text).unwrap(),
                });
            }
        }
    }
}

#[tokio::test]
async fn changes_are_told_as_they_come_and_a_client_that_comes_back_misses_none() {
    let fixture = Fixture::start().await;
    let mut stream = open(&fixture, "?types=task&name=app.add", "").await;
    assert_eq!(stream.status, 200);
    fixture
        .say(&[received("w1@host", 1, "t0", "app.mail")])
        .await;
    fixture
        .say(&[received("w1@host", 2, "t1", "app.add")])
        .await;
    fixture.say(&[started("w1@host", 3, "t1")]).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.kind, "task");
    assert_eq!(
        (&first.data["id"], &first.data["state"]),
        (&"t1".into(), &"RECEIVED".into())
    );
    assert!(first.data["at"].as_str().unwrap().ends_with('Z'));
    let second = stream.next().await.unwrap();
    assert_eq!(second.data["state"], "STARTED");
    drop(stream);
    fixture.say(&[succeeded("w1@host", 4, "t1")]).await;
    let header = format!("Last-Event-ID: {}\r\n", first.id.unwrap());
    let mut back = open(&fixture, "?types=task&task=t1", &header).await;
    for state in ["STARTED", "SUCCESS"] {
        assert_eq!(back.next().await.unwrap().data["state"], state);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_stream_says_when_it_cannot_go_on_where_it_was() {
    let fixture = Fixture::start().await;
    let mut stream = open(&fixture, "?types=node", "Last-Event-ID: 1-17\r\n").await;
    let told = stream.next().await.unwrap();
    assert_eq!(
        (told.kind.as_str(), &told.data["count"]),
        ("missed", &Value::Null)
    );
    fixture.say(&[beat("w1@host", 5, 2.0)]).await;
    let told = stream.next().await.unwrap();
    assert_eq!(
        (told.kind.as_str(), &told.data["state"]),
        ("node", &"joined".into())
    );
    let wrong = open(&fixture, "", "Last-Event-ID: yesterday\r\n").await;
    assert_eq!(wrong.status, 400);
    fixture.stop().await;
}

#[tokio::test]
async fn streams_are_bounded_and_do_not_hold_up_a_stop() {
    let fixture = Fixture::start().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(open(&fixture, "?types=overview", "").await);
    }
    let one_more = fixture.get("/api/v1/events").await;
    assert_eq!(
        (one_more.status, one_more.code().as_str()),
        (503, "unavailable")
    );
    assert!(
        one_more.head.contains("retry-after: 5"),
        "{}",
        one_more.head
    );
    let mut last = streams.pop().unwrap();
    assert_eq!(last.next().await.unwrap().kind, "overview");
    drop(streams);
    let begin = std::time::Instant::now();
    let stopped = fixture.stop().await;
    assert!(
        stopped.clean && begin.elapsed() < Duration::from_secs(3),
        "{stopped:?}"
    );
    // What was told before the end may still be on the way.
    while last.next().await.is_some() {}
}

#[tokio::test]
async fn the_overview_and_its_series_follow_the_events() {
    let fixture = Fixture::start().await;
    fixture.say(&[beat("w1@host", 5, 2.0)]).await;
    fixture
        .say(&[received("w1@host", 6, "t1", "app.add")])
        .await;
    fixture.say(&[succeeded("w1@host", 7, "t1")]).await;
    let overview = eventually("counted", async || {
        let overview = fixture.json("/api/v1/overview").await;
        (overview["tasks"]["SUCCESS"] == 1 && overview["last_minute"]["succeeded"] == 1)
            .then_some(overview)
    })
    .await;
    assert_eq!(overview["nodes"]["online"], 1);
    assert_eq!(
        (&overview["ready"], &overview["app"]),
        (&true.into(), &"test".into())
    );
    let series = fixture.json("/api/v1/series?window=5m").await;
    assert_eq!(series["times"].as_array().unwrap().len(), 300);
    assert_eq!(series["total"]["succeeded"], 1);
    assert_eq!(
        fixture.json("/api/v1/series?window=2h").await["step_seconds"],
        60
    );
    fixture.stop().await;
}
