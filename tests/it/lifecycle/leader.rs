//! A leading supervisor that ends.

use std::time::Duration;

use celeriac_tests::eventually::{eventually, eventually_within};
use celeriac_tests::http;
use celeriac_tests::program::Program;
use celeriac_tests::servers;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{last_line, unique};

async fn leads(supervisor: &Program) -> bool {
    let answer = http::get(supervisor.http(), "/api/v1/leader").await;
    answer.is_ok_and(|answer| answer.json()["leads"] == true)
}

/// S51: the next one leads at once, while somebody still listens to the one that ends; the
/// stream is closed, and the process ends in time.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_leads_at_once() {
    let (amqp, backend) = (servers::own_vhost().await, "disabled://");
    let more = ["--store", "memory:", "--termination-grace-period", "10s"];
    let mut all = Vec::new();
    for word in ["one", "two"] {
        all.push(Program::supervisor(&unique(word), &amqp, backend, &more).await);
    }
    let at = eventually("one leads", || async {
        for (at, supervisor) in all.iter().enumerate() {
            if leads(supervisor).await {
                return Some(at);
            }
        }
        None
    })
    .await;
    let mut leader = all.swap_remove(at);
    let mut next = all.remove(0);

    let mut stream = TcpStream::connect(leader.http()).await.unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        leader.http()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");

    leader.signal("TERM");
    let told = Instant::now();
    eventually_within(Duration::from_secs(3), "the next one leads", || async {
        leads(&next).await.then_some(())
    })
    .await;
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the stream ends");
    assert_eq!(
        leader.ended(Duration::from_secs(10)).await,
        0,
        "{}",
        leader.log()
    );
    assert!(
        told.elapsed() < Duration::from_secs(8),
        "{:?}",
        told.elapsed()
    );
    assert!(
        last_line(&leader.log()).contains("clean=true"),
        "{}",
        leader.log()
    );
    assert_eq!(next.terminate().await, 0, "{}", next.log());
}
