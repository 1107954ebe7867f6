#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[test]
fn an_address_is_checked_and_its_password_never_shown() {
    for (text, found) in [
        ("guest:secret@host:15672", "another scheme"),
        ("amqp://guest:secret@host", "another scheme"),
        ("http://guest:secret@host/?x=1", "a query"),
        ("not a url secret", "no URL"),
    ] {
        let error = Address::parse(text).err().unwrap().to_string();
        let start = "management_url: expected http://user:password@host:15672, found ";
        assert!(error.starts_with(start) && error.contains(found), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn the_virtual_host_is_that_of_the_broker() {
    let queues = |base: &str, broker: &str| {
        let address = Address::parse(base).unwrap();
        address.queues(broker).map(|url| url.path().to_owned())
    };
    for (broker, path) in [
        ("amqp://guest:**@host:5672", "/api/queues/%2F"),
        ("amqp://host//", "/api/queues/%2F"),
        ("amqp://host/%2F", "/api/queues/%2F"),
        ("amqps://host/shop", "/api/queues/shop"),
        ("pyamqp://host/a%20b/c", "/api/queues/a%20b%2Fc"),
    ] {
        assert_eq!(
            queues("http://h:15672", broker).as_deref(),
            Some(path),
            "{broker}"
        );
    }
    let below = queues("https://h/rabbit/", "amqp://host/shop");
    assert_eq!(below.as_deref(), Some("/rabbit/api/queues/shop"));
    assert_eq!(queues("http://h", "memory://"), None);
}

#[test]
fn what_is_missing_is_not_made_up() {
    let told = |text: &str| Listed::read(text.as_bytes()).unwrap().told();
    assert_eq!(told(r#"{"name": "celery"}"#), Told::default());
    assert_eq!(
        told(r#"{"name": "celery", "head_message_timestamp": ""}"#).oldest,
        None
    );
    let full = told(
        r#"{"name": "celery", "messages_unacknowledged": 3, "head_message_timestamp": 1700000000,
            "memory": 55, "message_stats": {"ack_details": {"rate": 1.5}}}"#,
    );
    assert_eq!((full.unacked, full.memory), (Some(3), Some(55)));
    assert_eq!(
        full.oldest,
        UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000))
    );
    let flow = full.flow.unwrap();
    assert_eq!((flow.published, flow.acknowledged), (0.0, 1.5));
    assert!(
        Page::read(b"<html>")
            .unwrap_err()
            .contains("cannot be read")
    );
}

/// Answers each request with one text, and hands the requests out.
async fn server(answer: &'static str) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap();
            let line = String::from_utf8_lossy(&request[..read]).into_owned();
            let _ = sender.send(line).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (format!("http://guest:se%20cret@{address}"), receiver)
}

fn management(url: &str) -> Management {
    let address = Address::parse(url).unwrap();
    Management::new(&address, "amqp://host/shop", Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn few_are_asked_for_one_by_one_and_many_by_the_page() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
                  {\"name\": \"q1\", \"memory\": 5, \"items\": [{\"name\": \"q1\", \"memory\": 7}, \
                  {\"name\": \"other\"}], \"page_count\": 1}";
    let (url, mut requests) = server(answer).await;
    let management = management(&url);
    let names = |count| (1..=count).map(|n| format!("q{n}")).collect::<Vec<_>>();
    let told = management.ask(&names(1)).await.unwrap();
    assert_eq!(told["q1"].memory, Some(5));
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /api/queues/shop/q1?columns=name,"),
        "{request}"
    );
    // guest:se cret
    let lower = request.to_lowercase();
    assert!(lower.contains("authorization: basic "), "{request}");
    assert!(request.contains("Z3Vlc3Q6c2UgY3JldA=="), "{request}");

    let mut many = names(FEW + 1);
    many.sort();
    let told = management.ask(&many).await.unwrap();
    assert_eq!((told.len(), told["q1"].memory), (1, Some(7)));
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /api/queues/shop?page=1&page_size=500&"),
        "{request}"
    );
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    for (answer, text) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n",
            "refuses user 'guest'; check",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n",
            "knows none of the queues; is it",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /x\r\nconnection: close\r\n\r\n",
            "answered 302",
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>",
            "cannot be read",
        ),
    ] {
        let (url, _requests) = server(answer).await;
        let error = management(&url).ask(&["q1".to_owned()]).await.unwrap_err();
        assert!(error.contains(text), "{error} lacks {text}");
        assert!(!error.contains("cret"), "{error}");
    }
    // Nobody listens: the port was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let management = management(&format!("http://guest:secret@{free}"));
    let error = management.ask(&["q1".to_owned()]).await.unwrap_err();
    assert!(!error.contains("secret"), "{error}");
}
