//! Hosts with addresses of their own, whose links can be cut.
//!
//! `tests/run.d/network` makes the network: the servers of the run and the test itself
//! live at its hub; a host is a namespace with one link to each bridge.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::process::Command;

use crate::eventually::for_as_long_as;
use crate::servers;

/// What a host's link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// RabbitMQ.
    Broker,
    /// Redis.
    Store,
    /// Who looks at the host, over HTTP. It is never cut.
    Look,
}

impl Net {
    const ALL: [Self; 3] = [Self::Broker, Self::Store, Self::Look];

    /// The bridge at the hub, and the name of the link at the host.
    const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Store => "store",
            Self::Look => "look",
        }
    }
}

/// A host. Dropping it leaves its namespace to the end of the run's network.
#[derive(Debug)]
pub struct Host {
    name: String,
    number: u8,
}

/// The hub has the first address of each bridge.
static NUMBERS: AtomicU8 = AtomicU8::new(2);

impl Host {
    /// Adds a host to the network.
    ///
    /// # Panics
    ///
    /// When it cannot be made, or outside of `./tests/run fleet`.
    pub async fn add(name: &str) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let host = Self {
            name: format!("{name}-{number}"),
            number,
        };
        let inside = host.name.as_str();
        ip(&["netns", "add", inside]).await;
        ip(&["-n", inside, "link", "set", "lo", "up"]).await;
        for net in Net::ALL {
            let (link, bridge) = (host.link(net), net.name());
            ip(&[
                "link", "add", &link, "type", "veth", "peer", "name", bridge, "netns", inside,
            ])
            .await;
            ip(&["link", "set", &link, "master", bridge, "up"]).await;
            let address = format!("{}/24", host.address(net));
            ip(&["-n", inside, "address", "add", &address, "dev", bridge]).await;
            ip(&["-n", inside, "link", "set", bridge, "up"]).await;
        }
        host
    }

    /// Returns the namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the host's address on a net.
    ///
    /// # Panics
    ///
    /// Outside of `./tests/run fleet`.
    pub fn address(&self, net: Net) -> Ipv4Addr {
        // Three bridges, three networks of 256 addresses.
        let prefix = servers::variable("CELERIAC_TEST_NETWORK");
        let third = Net::ALL.iter().position(|&other| other == net);
        format!("{prefix}.{}.{}", third.unwrap_or(0) + 1, self.number)
            .parse()
            .unwrap_or_else(|error| panic!("CELERIAC_TEST_NETWORK {prefix:?}: {error}"))
    }

    /// Pulls cables for a time, and does something meanwhile: what either side sends is
    /// gone, and neither is told.
    ///
    /// # Panics
    ///
    /// When what is done takes longer, or a cable cannot be pulled.
    pub async fn cut_for<T>(
        &self,
        nets: &[Net],
        time: Duration,
        meanwhile: impl Future<Output = T>,
    ) -> T {
        for &net in nets {
            ip(&["link", "set", &self.link(net), "down"]).await;
        }
        let done = for_as_long_as(time, meanwhile).await;
        for &net in nets {
            ip(&["link", "set", &self.link(net), "up"]).await;
        }
        done
    }

    /// The hub's end of a link.
    fn link(&self, net: Net) -> String {
        format!("{}{}", net.name(), self.number)
    }
}

async fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().await;
    let output = output.unwrap_or_else(|error| panic!("ip {words:?}: {error}"));
    assert!(
        output.status.success(),
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
