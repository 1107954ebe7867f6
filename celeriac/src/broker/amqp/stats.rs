//! Counters that say how a broker fares.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// How an [`AmqpBroker`](super::AmqpBroker) fared since it was opened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Stats {$(
            $(#[$doc])*
            pub $name: u64,
        )*}

        #[derive(Debug, Default)]
        pub(super) struct Counters {$(
            pub(super) $name: AtomicU64,
        )*}

        impl Counters {
            pub(super) fn read(&self) -> Stats {
                Stats {$( $name: self.$name.load(Ordering::Relaxed), )*}
            }
        }
    };
}

counters! {
    /// Connections made.
    connections;
    /// Tries to connect that failed, and connections that were lost.
    connection_failures;
    /// Consumer channels that ended and were made anew.
    channel_failures;
    /// Consumers that got nothing although their queue had messages ready.
    stalls;
    /// Publications that the server took.
    published;
    /// Publications sent again because the connection was lost before the confirm.
    republished;
    /// Publications that no queue took, or that the server refused.
    refused;
    /// Messages delivered.
    delivered;
}
