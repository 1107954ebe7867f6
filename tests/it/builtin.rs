//! The built-in tasks that reach out: mail and web.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::{App, Error};
use celeriac_cli::Settings;
use celeriac_node::{Config, Node, Shutdown};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node with the built-in tasks, on an embedded broker.
struct Cluster {
    app: App,
    shutdown: Shutdown,
    node: tokio::task::JoinHandle<celeriac::Result<celeriac_node::Stopped>>,
}

impl Cluster {
    fn start(settings: &[(&str, &str)]) -> Self {
        let environment = settings.iter().map(|(name, value)| {
            (
                format!("CELERIAC_{}", name.to_uppercase()),
                (*value).to_owned(),
            )
        });
        let settings = Settings::from_environment(environment);
        let builder = App::builder("test")
            .broker("memory://")
            .backend("memory://");
        let app = celeriac_cli::tasks::add(builder, &settings)
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let node = Node::new(app.clone(), Config::default()).unwrap();
        let node = tokio::spawn(node.run(shutdown.clone()));
        Self {
            app,
            shutdown,
            node,
        }
    }

    async fn call(&self, task: &str, kwargs: Value) -> Result<Value, Error> {
        let mut call = self.app.call::<Value>(task);
        for (name, value) in kwargs.as_object().unwrap() {
            call = call.kwarg(name, value);
        }
        call.send(&self.app).await?.get(PATIENCE).await
    }

    async fn stop(self) {
        self.shutdown.drain();
        self.node.await.unwrap().unwrap();
    }
}

/// A mail server that takes everything and remembers it.
async fn smtp_sink() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let mails = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&mails);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(smtp_session(stream, Arc::clone(&kept)));
        }
    });
    (url, mails)
}

async fn smtp_session(mut stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 sink\r\n").await.unwrap();
    let mut mail: Option<String> = None;
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match &mut mail {
            Some(text) if line == "." => {
                mails.lock().unwrap().push(std::mem::take(text));
                mail = None;
                "250 taken"
            }
            Some(text) => {
                text.push_str(&line);
                text.push('\n');
                continue;
            }
            None if line.starts_with("EHLO") => "250 sink",
            None if line == "DATA" => {
                mail = Some(String::new());
                "354 go on"
            }
            None if line.contains("refused@") => "550 no such user",
            None if line == "QUIT" => "221 bye",
            None => "250 ok",
        };
        writer
            .write_all(format!("{answer}\r\n").as_bytes())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_with_title_text_and_recipients() {
    let (url, mails) = smtp_sink().await;
    let cluster = Cluster::start(&[
        ("smtp", &url),
        ("smtp_from", "Celeriac <noreply@example.org>"),
    ]);
    let mail = json!({
        "to": ["ann@example.org", "bob@example.org"], "title": "Grüße", "text": "It is done.\n",
    });
    let receipt = cluster.call("celeriac.mail.send", mail).await.unwrap();
    assert_eq!(receipt["code"], 250);
    {
        let mails = mails.lock().unwrap();
        let mail = &mails[0];
        assert!(
            mail.contains("From: Celeriac <noreply@example.org>"),
            "{mail}"
        );
        assert!(
            mail.contains("To: ann@example.org, bob@example.org"),
            "{mail}"
        );
        assert!(mail.contains("It is done."), "{mail}");
        assert!(mail.contains("Subject: =?utf-8?"), "{mail}");
    }
    let refused = json!({"to": "refused@example.org", "title": "x", "text": "x"});
    let error = cluster
        .call("celeriac.mail.send", refused)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such user"), "{error}");
    let nobody = json!({"to": "not an address", "title": "x", "text": "x"});
    let error = cluster
        .call("celeriac.mail.send", nobody)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected an address such as ann@example.org"),
        "{error}"
    );
    cluster.stop().await;
}

/// A web server that answers every request the same way and remembers it.
async fn web(answer: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 64 * 1024];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            kept.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&bytes[..read]).into_owned());
            // A client that was told enough may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_returns_status_headers_and_body() {
    let answer = "HTTP/1.1 418 teapot\r\nx-kind: tea\r\ncontent-length: 5\r\n\r\nshort";
    let (url, requests) = web(answer.to_owned()).await;
    let cluster = Cluster::start(&[("http_allow_private", "true")]);
    let request = json!({
        "url": format!("{url}/brew"), "method": "post", "body": "{}", "headers": {"x-key": "1"},
    });
    let answer = cluster
        .call("celeriac.http.request", request)
        .await
        .unwrap();
    assert_eq!(answer["status"], 418);
    assert_eq!(answer["body"], "short");
    assert_eq!(answer["headers"]["x-kind"], "tea");
    assert_eq!(answer["truncated"], false);
    assert!(requests.lock().unwrap()[0].starts_with("POST /brew HTTP/1.1\r\nx-key: 1"));
    cluster.stop().await;
}

/// No way in: by address, by name, by redirect, by another host.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_does_not_reach_private_addresses() {
    let (url, requests) = web("HTTP/1.1 200 ok\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let port = url.rsplit(':').next().unwrap().to_owned();
    let cluster = Cluster::start(&[]);
    for url in [
        url.clone(),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
    ] {
        let error = cluster
            .call("celeriac.http.request", json!({"url": url}))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("expected a public address"), "{url}: {text}");
    }
    let error = cluster
        .call(
            "celeriac.http.request",
            json!({"url": "file:///etc/passwd"}),
        )
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("expected http or https")
    );
    assert!(requests.lock().unwrap().is_empty(), "nothing was sent");
    cluster.stop().await;

    let location = format!("http://elsewhere.test:{port}/");
    let redirect =
        format!("HTTP/1.1 302 found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let (url, _) = web(redirect).await;
    let cluster = Cluster::start(&[
        ("http_allow_private", "true"),
        ("http_allowed_hosts", "127.0.0.1"),
    ]);
    let error = cluster
        .call("celeriac.http.request", json!({"url": url}))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected one of the allowed hosts"),
        "{error}"
    );
    cluster.stop().await;
}
