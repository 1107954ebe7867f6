//! Numbers that both sides of the wire expect, with their units.

use std::time::Duration;

/// How long a result is kept: one day.
pub const RESULT_EXPIRES: Duration = Duration::from_secs(86_400);

/// How many messages a worker takes ahead, per place to run.
pub const PREFETCH_MULTIPLIER: u32 = 4;

/// How long a retry waits when the task names no delay.
pub const RETRY_DELAY: Duration = Duration::from_secs(180);

/// How many retries follow the first run when the task names no number.
pub const MAX_RETRIES: u32 = 3;

/// How often a worker sends a heartbeat event; the `freq` field, in seconds.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// How many heartbeats a worker may miss before it counts as dead.
pub const HEARTBEATS_MISSED: u32 = 2;

/// The clock difference between two nodes above which a monitor warns.
pub const CLOCK_DRIFT: Duration = Duration::from_secs(16);

/// How long an event stays in a consumer's queue.
pub const EVENT_TTL: Duration = Duration::from_secs(5);

/// How long an event queue outlives its consumer.
pub const EVENT_QUEUE_EXPIRES: Duration = Duration::from_secs(60);

/// How long a request or a reply stays in a control queue.
pub const CONTROL_TTL: Duration = Duration::from_secs(300);

/// How long a control queue outlives its consumer.
pub const CONTROL_QUEUE_EXPIRES: Duration = Duration::from_secs(10);

/// How long a caller waits for replies.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a starting worker waits for its neighbours' `hello`.
pub const MINGLE_WAIT: Duration = Duration::from_secs(1);

/// The characters of `argsrepr`, `kwargsrepr` and a result in an event, about.
pub const REPR_MAX: usize = 1024;

/// How many revoked ids a worker remembers.
pub const REVOKED_MAX: usize = 50_000;

/// How long a worker remembers a revoked id: three hours.
pub const REVOKED_EXPIRES: Duration = Duration::from_secs(10_800);

/// How often `celery.chord_unlock` looks again.
pub const CHORD_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker may take to join a chord before another may try.
pub const CHORD_CLAIM: Duration = Duration::from_secs(6);

/// How long the claim lasts once the results are read.
pub const CHORD_CLAIM_EXTENDED: Duration = Duration::from_secs(21);

/// How long a chord stays marked as done.
pub const CHORD_DONE: Duration = Duration::from_secs(300);

/// How long a Redis broker hides an unacknowledged message from others.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3600);

/// The heartbeat of a broker connection that clients ask for.
pub const BROKER_HEARTBEAT: Duration = Duration::from_secs(120);

/// How long a connection attempt to a broker may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long beat sleeps at most between two looks at its schedule.
pub const BEAT_MAX_LOOP: Duration = Duration::from_secs(300);
