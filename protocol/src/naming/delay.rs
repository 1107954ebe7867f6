//! Delayed delivery inside the broker.
//!
//! A message that is not due yet walks down a stair of 28 queues. Queue `n` holds it
//! for 2^n seconds when digit `n` of its routing key is `1`, and is passed by when it
//! is `0`; behind queue 0 the rest of the key leads to the task's own queue.
//!
//! ```text
//! celery_delayed_27 --0.#--> celery_delayed_26 ... celery_delayed_0 --> celery_delayed_delivery --#.<key>--> queue
//!        | 1.#  wait 2^27 s          ^                                            ^
//!        +---------------------------+ (when it expires)                          |
//! ```

/// The highest level; a message enters the stair here.
pub const TOP: u32 = 27;

/// The longest delay, in seconds: some eight and a half years.
pub const MAX_SECONDS: u32 = (1 << (TOP + 1)) - 1;

/// The topic exchange behind the last level; application queues are bound to it.
pub const DELIVERY_EXCHANGE: &str = "celery_delayed_delivery";

/// The topic exchange and the queue of a level, which share a name.
pub fn level_name(level: u32) -> String {
    format!("celery_delayed_{level}")
}

/// Where a level sends a message on: the level below, or the way out.
pub fn next_exchange(level: u32) -> String {
    level
        .checked_sub(1)
        .map_or_else(|| DELIVERY_EXCHANGE.to_owned(), level_name)
}

/// How long the queue of a level holds a message, in milliseconds.
pub fn level_ttl_millis(level: u32) -> i64 {
    1000 << level.min(TOP)
}

/// The key that binds the queue of a level to its exchange: the digit is `1`.
pub fn wait_binding(level: u32) -> String {
    binding(level, '1')
}

/// The key that binds the next exchange to this level's: the digit is `0`.
pub fn pass_binding(level: u32) -> String {
    binding(level, '0')
}

/// The key that binds an application queue and its exchange to the way out.
pub fn delivery_binding(routing_key: &str) -> String {
    format!("#.{routing_key}")
}

/// The exchange that delayed messages are published to.
pub fn entry_exchange() -> String {
    level_name(TOP)
}

/// The routing key of a delay: 28 binary digits, most significant first, and the
/// key of the task's queue. A delay above [`MAX_SECONDS`] counts as that.
pub fn delay_routing_key(seconds: u32, key: &str) -> String {
    let seconds = seconds.min(MAX_SECONDS);
    let mut text = String::with_capacity(2 * (TOP as usize + 1) + key.len());
    for level in (0..=TOP).rev() {
        text.push(if seconds >> level & 1 == 1 { '1' } else { '0' });
        text.push('.');
    }
    text.push_str(key);
    text
}

/// Returns the routing key without the digits of a delay, if it has them.
pub fn strip_delay(routing_key: &str) -> &str {
    let digits = 2 * (TOP as usize + 1);
    match routing_key.split_at_checked(digits) {
        Some((delay, key)) if is_delay(delay.as_bytes()) => key,
        _ => routing_key,
    }
}

fn is_delay(text: &[u8]) -> bool {
    text.chunks(2)
        .all(|pair| matches!(pair, [b'0' | b'1', b'.']))
}

fn binding(level: u32, digit: char) -> String {
    let above = TOP.saturating_sub(level) as usize;
    format!("{}{digit}.#", "*.".repeat(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_seconds_are_101() {
        let key = delay_routing_key(5, "qq");
        assert_eq!(key, format!("{}1.0.1.qq", "0.".repeat(25)));
        assert_eq!(strip_delay(&key), "qq");
    }

    #[test]
    fn the_longest_delay_is_all_ones() {
        assert_eq!(
            delay_routing_key(u32::MAX, "q"),
            format!("{}q", "1.".repeat(28))
        );
        assert_eq!(MAX_SECONDS, 268_435_455);
    }

    #[test]
    fn other_keys_are_left_alone() {
        for key in [
            "",
            "celery",
            "0.1.celery",
            &"0.".repeat(27),
            &"€".repeat(30),
        ] {
            assert_eq!(strip_delay(key), key);
        }
        let inner = delay_routing_key(1, &delay_routing_key(2, "q"));
        assert_eq!(strip_delay(&inner), delay_routing_key(2, "q"));
    }

    #[test]
    fn the_stair_ends_at_the_way_out() {
        assert_eq!(entry_exchange(), "celery_delayed_27");
        assert_eq!(next_exchange(27), "celery_delayed_26");
        assert_eq!(next_exchange(0), "celery_delayed_delivery");
        assert_eq!(wait_binding(27), "1.#");
        assert_eq!(pass_binding(25), "*.*.0.#");
        assert_eq!(level_ttl_millis(0), 1000);
        assert_eq!(level_ttl_millis(27), 134_217_728_000);
        assert_eq!(delivery_binding("celery"), "#.celery");
    }
}
