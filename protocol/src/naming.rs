//! Every magic name.
//!
//! Exchanges, queues, keys, header and argument names, and the numbers that both
//! sides must agree on. A name is written here once and nowhere else.

pub mod defaults;
pub mod delay;
pub mod keys;

pub use delay::{delay_routing_key, strip_delay};
use uuid::Uuid;

/// The default queue, its direct exchange and its routing key.
pub const DEFAULT_QUEUE: &str = "celery";

/// The topic exchange of events; on Redis it is a fanout.
pub const EVENT_EXCHANGE: &str = "celeryev";

/// The routing key of an event message that carries a list of task events.
pub const EVENT_BATCH_ROUTING_KEY: &str = "task.multi";

/// The fanout exchange of remote control requests.
pub const CONTROL_EXCHANGE: &str = "celery.pidbox";

/// The direct exchange of replies to remote control.
pub const REPLY_EXCHANGE: &str = "reply.celery.pidbox";

/// The direct exchange of messages that no worker can use. This project's own.
pub const DEAD_EXCHANGE: &str = "celeriac.dead";

/// The direct exchange of queues that belong to one worker (`worker_direct`).
pub const WORKER_DIRECT_EXCHANGE: &str = "C.dq2";

/// The origin of messages from a process: `gen<pid>@<host>`.
pub fn origin(pid: u32, host: &str) -> String {
    format!("gen{pid}@{host}")
}

/// The queue of one consumer of events: `celeryev.<id>`, with a UUID as id.
pub fn event_queue(id: &str) -> String {
    format!("{EVENT_EXCHANGE}.{id}")
}

/// The routing key of an event type: `task-received` goes by `task.received`.
pub fn event_routing_key(kind: &str) -> String {
    kind.replace('-', ".")
}

/// The queue that a node takes remote control from: `<node>.celery.pidbox`.
pub fn control_queue(node: &str) -> String {
    format!("{node}.{CONTROL_EXCHANGE}")
}

/// The queue that a caller takes replies from: `<oid>.reply.celery.pidbox`.
pub fn reply_queue(oid: &str) -> String {
    format!("{oid}.{REPLY_EXCHANGE}")
}

/// The queue that belongs to one worker: `<node>.dq2`.
pub fn worker_direct_queue(node: &str) -> String {
    format!("{node}.dq2")
}

/// The queue that takes what nobody can run out of `queue`: `<queue>.dead`.
///
/// It is bound to [`DEAD_EXCHANGE`] by the name of `queue`.
pub fn dead_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

/// The id by which replies and rpc results find a caller: a version 3 UUID.
///
/// It is made as kombu makes it, out of a random number of the process, the process
/// and thread ids, and a number that tells callers inside a thread apart; equal
/// numbers make an equal id.
pub fn oid(node: u128, process: u32, thread: u64, instance: u64) -> String {
    let name = format!("{node:x}-{process:x}-{thread:x}-{instance:x}");
    Uuid::new_v3(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// Names of message headers outside the task protocol.
pub mod header {
    /// Which node sent an event.
    pub const HOSTNAME: &str = "hostname";
    /// The sender's Lamport clock, on remote control.
    pub const CLOCK: &str = "clock";
    /// Until when a request is good, in seconds since the epoch; 0 is for ever.
    pub const EXPIRES: &str = "expires";
    /// Which request a reply answers.
    pub const TICKET: &str = "ticket";
    /// What RabbitMQ writes when it dead-letters a message, on each hop.
    pub const DEATH: &str = "x-death";
    /// How often a quorum queue delivered the message before.
    pub const DELIVERY_COUNT: &str = "x-delivery-count";
    /// Which tick of which schedule a task is: `<entry>@<RFC 3339>`.
    pub const TICK: &str = "celeriac-tick";
    /// In which term the leader sent a tick.
    pub const TERM: &str = "celeriac-term";
}

/// Names of queue arguments that RabbitMQ understands.
pub mod argument {
    /// Milliseconds without a consumer after which the queue goes away.
    pub const EXPIRES: &str = "x-expires";
    /// Milliseconds after which a message leaves the queue.
    pub const MESSAGE_TTL: &str = "x-message-ttl";
    /// `classic`, `quorum` or `stream`.
    pub const QUEUE_TYPE: &str = "x-queue-type";
    /// The highest priority, 1 to 255; without it priorities are ignored.
    pub const MAX_PRIORITY: &str = "x-max-priority";
    /// The most messages the queue holds.
    pub const MAX_LENGTH: &str = "x-max-length";
    /// The most bytes of bodies the queue holds.
    pub const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
    /// What happens at the maximum: `drop-head`, `reject-publish`, ...
    pub const OVERFLOW: &str = "x-overflow";
    /// Where expired and rejected messages go.
    pub const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
    /// By which routing key they go; by their own when absent.
    pub const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
    /// `at-most-once` or `at-least-once`, for quorum queues.
    pub const DEAD_LETTER_STRATEGY: &str = "x-dead-letter-strategy";
    /// How many deliveries a quorum queue allows before it dead-letters.
    pub const DELIVERY_LIMIT: &str = "x-delivery-limit";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_celery() {
        assert_eq!(event_routing_key("worker-elect-ack"), "worker.elect.ack");
        assert_eq!(control_queue("w1@vm"), "w1@vm.celery.pidbox");
        assert_eq!(reply_queue("5bba"), "5bba.reply.celery.pidbox");
        assert_eq!(event_queue("5bba"), "celeryev.5bba");
        assert_eq!(origin(15556, "vm"), "gen15556@vm");
        assert_eq!(dead_queue("mail"), "mail.dead");
    }

    #[test]
    fn an_oid_is_the_one_kombu_computes() {
        // kombu.common.generate_oid(255, 16, 0, 4096) with an instance of that address.
        assert_eq!(
            oid(255, 16, 0, 4096),
            "bedc9c63-1a66-37cd-a97c-d6848233fee5"
        );
        assert_ne!(oid(255, 16, 0, 4096), oid(255, 16, 0, 4097));
    }
}
