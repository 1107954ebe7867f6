//! A relay to a server that can hold back what the server says.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use url::Url;

/// A relay to a server that can hold back what the server says, as a slow or blocked
/// server does. What clients say always goes through.
#[derive(Debug)]
pub struct Relay {
    url: Url,
    held: watch::Sender<bool>,
    task: AbortHandle,
}

impl Relay {
    /// Starts one in front of the server that a URL names.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start(server: &str) -> Self {
        let mut url = Url::parse(server).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        url.set_ip_host(address.ip()).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let held = watch::Sender::new(false);
        let gate = held.subscribe();
        let accept = async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (mut client_reads, client_writes) = client.into_split();
                let (server_reads, mut server_writes) = server.into_split();
                connections.spawn(async move {
                    let _ = tokio::io::copy(&mut client_reads, &mut server_writes).await;
                });
                connections.spawn(hold(server_reads, client_writes, gate.clone()));
            }
        };
        let task = tokio::spawn(accept).abort_handle();
        Self { url, held, task }
    }

    /// Returns the server's URL with the relay's address.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Holds back what the server says from now on.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Hands on what was held back.
    pub fn release(&self) {
        self.held.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hold(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if held.wait_for(|&held| !held).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
