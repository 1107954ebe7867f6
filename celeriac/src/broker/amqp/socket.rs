//! The TCP or TLS stream under a connection.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use lapin::tcp::RustlsConnector;
use lapin::uri::AMQPScheme;
use lapin::{AsyncTcpStream, ConnectionProperties};

use super::core::Core;

/// A second handle of the socket under a connection.
///
/// The client reads it on a thread of its own, which would wait for ever on a server
/// that accepts and says nothing. Dropping this shuts the socket and ends the thread.
#[derive(Debug, Default, Clone)]
pub(super) struct Socket(Arc<Handle>);

#[derive(Debug, Default)]
struct Handle(Mutex<Option<std::net::TcpStream>>);

impl Socket {
    /// Connects, remembering the socket.
    pub(super) async fn connect(
        &self,
        core: &Core,
        properties: ConnectionProperties,
    ) -> lapin::Result<lapin::Connection> {
        // That of the thread this runs on: the broker's own.
        let runtime = lapin::runtime::default_runtime()?;
        let timeout = core.config.connection_timeout;
        // Weak: the client keeps the closure for as long as its thread lives.
        let handle = Arc::downgrade(&self.0);
        lapin::Connection::connector(
            core.uri.clone(),
            runtime,
            async move |uri, runtime| {
                let authority = &uri.authority;
                let connect = async {
                    let addresses =
                        runtime.to_socket_addrs((authority.host.clone(), authority.port));
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    if let AsyncTcpStream::Plain(stream) = &stream {
                        let copy = stream.get_ref().as_fd().try_clone_to_owned()?;
                        let Some(handle) = handle.upgrade() else {
                            return Err(io::Error::from(io::ErrorKind::Interrupted));
                        };
                        *handle.lock() = Some(copy.into());
                    }
                    match uri.scheme {
                        AMQPScheme::AMQP => Ok(stream),
                        AMQPScheme::AMQPS => {
                            stream.into_rustls(&connector()?, &authority.host).await
                        }
                    }
                };
                match tokio::time::timeout(timeout, connect).await {
                    Ok(connected) => Ok(connected?),
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
            },
            properties,
        )
        .await
    }

    /// Ends reading and writing.
    pub(super) fn shut(&self) {
        self.0.shut();
    }
}

impl Handle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<std::net::TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) {
        if let Some(socket) = self.lock().take() {
            // It fails when the other side was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Makes what speaks TLS: the system's certificates, and a provider that is named here
/// so that it does not matter which others are compiled in.
fn connector() -> io::Result<RustlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(io::Error::other(format!(
            "no usable certificates of authorities on this system (SSL_CERT_FILE names them): {why}"
        )));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(RustlsConnector::from(config))
}
