//! A connection to a memory broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::server::Server;
use crate::broker::Link;
use crate::error::{Error, Result};

/// What a client of a memory broker has of its own: an epoch, consumers, exclusive
/// queues. It ends when closed or dropped.
#[derive(Debug)]
pub(super) struct Connection {
    server: Arc<Server>,
    id: u64,
    epoch: AtomicU64,
    link: watch::Sender<Link>,
}

impl Connection {
    pub(super) fn open(server: Arc<Server>) -> Arc<Self> {
        let id = server.next_id();
        Arc::new(Self {
            server,
            id,
            epoch: AtomicU64::new(1),
            link: watch::Sender::new(up(1)),
        })
    }

    pub(super) const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if *self.link.borrow() == Link::Closed {
            Err(Error::Closed("memory broker"))
        } else {
            Ok(())
        }
    }

    pub(super) fn interrupt(&self) {
        if self.check_open().is_err() {
            return;
        }
        let error = Some("interrupted".to_owned());
        self.link
            .send_replace(Link::Connecting { failures: 0, error });
        // First the epoch: from here on no old tag settles anything.
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        self.server.lose(self.id);
        self.link.send_replace(up(epoch));
    }

    pub(super) fn close(&self) {
        self.link.send_replace(Link::Closed);
        self.server.disconnect(self.id);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

fn up(epoch: u64) -> Link {
    Link::Up {
        epoch,
        server: "memory".to_owned(),
    }
}
