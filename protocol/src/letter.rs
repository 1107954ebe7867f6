//! Dead letters: what a message says of why nobody runs it any more.
//!
//! Nodes write it beside the message's own headers, so that a dead letter is what came,
//! and more; [`strip`] takes it away again. This project's own.

use crate::naming;
use crate::{Table, Timestamp, Value};

/// The headers of a dead letter.
pub mod header {
    /// Why it is one, in a word: see [`Reason`](super::Reason).
    pub const REASON: &str = "x-celeriac-reason";
    /// What went wrong, as a text.
    pub const ERROR: &str = "x-celeriac-error";
    /// The class of the exception.
    pub const ERROR_TYPE: &str = "x-celeriac-error-type";
    /// Where it was raised.
    pub const TRACEBACK: &str = "x-celeriac-traceback";
    /// Which node put it away.
    pub const NODE: &str = "x-celeriac-node";
    /// From which queue it came.
    pub const QUEUE: &str = "x-celeriac-queue";
    /// When, as RFC 3339.
    pub const DIED_AT: &str = "x-celeriac-died-at";
    /// How often it was tried.
    pub const ATTEMPTS: &str = "x-celeriac-attempts";
    /// What the headers above begin with, and a replay's own.
    pub const PREFIX: &str = "x-celeriac-";
}

/// Texts of errors are cut to this many bytes: headers travel in one frame.
pub const ERROR_MAX: usize = 2 * 1024;

/// Tracebacks are cut to this many bytes, of which the last are kept.
pub const TRACEBACK_MAX: usize = 4 * 1024;

/// Why a message is a dead letter, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its task failed, and no try is left.
    Failed,
    /// Its task, or a consumer, refused it.
    Rejected,
    /// What ran it died, too often.
    Crashed,
    /// It cannot be read.
    Undecodable,
    /// No task has its name.
    UnknownTask,
    /// It waited too long in its queue.
    Expired,
    /// Its queue was full.
    Overflowed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::Rejected,
        Self::Crashed,
        Self::Undecodable,
        Self::UnknownTask,
        Self::Expired,
        Self::Overflowed,
    ];

    /// Returns the word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Crashed => "crashed",
            Self::Undecodable => "undecodable",
            Self::UnknownTask => "unknown-task",
            Self::Expired => "expired",
            Self::Overflowed => "overflowed",
        }
    }

    /// Finds the reason of a word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// What a broker calls the death of a message, in a word of ours.
    fn of_death(word: &str) -> Self {
        match word {
            "expired" => Self::Expired,
            "maxlen" => Self::Overflowed,
            "delivery_limit" => Self::Crashed,
            _ => Self::Rejected,
        }
    }
}

/// Why a message is a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// In a word.
    pub reason: Reason,
    /// What went wrong; empty when nobody said.
    pub error: String,
    /// The class of the exception, if there was one.
    pub error_type: Option<String>,
    /// Where it was raised, if that is known.
    pub traceback: Option<String>,
    /// Which node put it away; `None` for a broker.
    pub node: Option<String>,
    /// From which queue it came.
    pub queue: Option<String>,
    /// When.
    pub died_at: Option<Timestamp>,
    /// How often it was tried or delivered.
    pub attempts: Option<u32>,
}

impl Cause {
    /// Makes a cause of which nothing else is known.
    pub fn new(reason: Reason, error: impl Into<String>) -> Self {
        Self {
            reason,
            error: error.into(),
            error_type: None,
            traceback: None,
            node: None,
            queue: None,
            died_at: None,
            attempts: None,
        }
    }

    /// Writes it into the headers of a message, with texts cut to size.
    pub fn write(&self, headers: &mut Table) {
        let mut put = |name: &str, value: Option<Value>| match value {
            Some(value) => headers.insert(name, value),
            None => drop(headers.remove(name)),
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        put(header::REASON, Some(self.reason.as_str().into()));
        put(header::ERROR, Some(head(&self.error, ERROR_MAX).into()));
        let error_type = self.error_type.as_deref();
        put(
            header::ERROR_TYPE,
            error_type.map(|name| head(name, 255).into()),
        );
        let traceback = self.traceback.as_deref();
        put(
            header::TRACEBACK,
            traceback.map(|text| tail(text, TRACEBACK_MAX).into()),
        );
        put(header::NODE, text(&self.node));
        put(header::QUEUE, text(&self.queue));
        let died_at = self.died_at.map(|at| at.to_string());
        put(header::DIED_AT, text(&died_at));
        put(header::ATTEMPTS, self.attempts.map(Value::from));
    }

    /// Reads it from the headers of a dead letter: what a node wrote, else what a broker
    /// did; `None` when nobody said why.
    pub fn read(headers: &Table) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.as_str().map(str::to_owned);
        let Some(word) = text(header::REASON) else {
            return Self::of_death(headers);
        };
        let attempts = headers.get(header::ATTEMPTS).and_then(Value::as_i64);
        Some(Self {
            // A word of another version still says that somebody refused it.
            reason: Reason::find(&word).unwrap_or(Reason::Rejected),
            error: text(header::ERROR).unwrap_or(word),
            error_type: text(header::ERROR_TYPE),
            traceback: text(header::TRACEBACK),
            node: text(header::NODE),
            queue: text(header::QUEUE),
            died_at: text(header::DIED_AT).and_then(|at| at.parse().ok()),
            attempts: attempts.and_then(|count| u32::try_from(count).ok()),
        })
    }

    /// Reads what RabbitMQ wrote when it dead-lettered a message: the latest death is
    /// the first of its list.
    fn of_death(headers: &Table) -> Option<Self> {
        let deaths = headers.get(naming::header::DEATH)?.as_array()?;
        let death = deaths.first()?.as_map()?;
        let text = |name: &str| death.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| death.get(name)?.as_i64();
        let queue = text("queue");
        let word = text("reason").unwrap_or_default();
        let place = queue.as_deref().unwrap_or("a queue");
        let deliveries = headers.get(naming::header::DELIVERY_COUNT);
        let attempts = deliveries.and_then(Value::as_i64).or(number("count"));
        Some(Self {
            error: format!("the broker dead-lettered it from {place}: {word}"),
            died_at: number("time")
                .map(|seconds| Timestamp::from_micros(seconds.saturating_mul(1_000_000))),
            attempts: attempts.and_then(|count| u32::try_from(count).ok()),
            queue,
            ..Self::new(Reason::of_death(&word), "")
        })
    }
}

/// Takes away what nodes and brokers wrote about an earlier death or delay, so that the
/// message is as it was sent: RabbitMQ before 4.0 takes one with the trace of an earlier
/// delay for one that goes round in circles, and drops it.
pub fn strip(headers: &mut Table) {
    let kept = std::mem::take(headers).into_iter();
    *headers = kept.filter(|(name, _)| !is_trace(name)).collect();
}

/// Tells whether a header says how a message came here, and not what it is.
pub fn is_trace(name: &str) -> bool {
    let traces = [
        "x-death",
        "x-first-death-",
        "x-last-death-",
        naming::header::DELIVERY_COUNT,
        header::PREFIX,
    ];
    traces.iter().any(|trace| name.starts_with(trace))
}

fn head(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev();
    let end = end.into_iter().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn tail(text: &str, most: usize) -> &str {
    let start = text.len().saturating_sub(most)..=text.len();
    let start = start.into_iter().find(|at| text.is_char_boundary(*at));
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn whole() -> Cause {
        Cause {
            error_type: Some("ValueError".into()),
            traceback: Some("Traceback".into()),
            node: Some("n@h".into()),
            queue: Some("mail".into()),
            died_at: Some("2026-01-02T03:04:05.000006+00:00".parse().unwrap()),
            attempts: Some(4),
            ..Cause::new(Reason::Failed, "ValueError('boom')")
        }
    }

    #[test]
    fn what_is_written_is_read_and_taken_away() {
        for cause in [whole(), Cause::new(Reason::Undecodable, "no body")] {
            let mut headers = Table::new();
            headers.insert("task", "t");
            cause.write(&mut headers);
            assert_eq!(Cause::read(&headers), Some(cause));
            strip(&mut headers);
            assert_eq!(headers.iter().count(), 1);
        }
    }

    #[test]
    fn a_second_death_leaves_nothing_of_the_first() {
        let mut headers = Table::new();
        whole().write(&mut headers);
        let second = Cause::new(Reason::UnknownTask, "unknown task t");
        second.write(&mut headers);
        assert_eq!(Cause::read(&headers), Some(second));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cause = Cause {
            traceback: Some(format!("first {} last", "ö".repeat(TRACEBACK_MAX))),
            ..Cause::new(Reason::Failed, "ö".repeat(ERROR_MAX))
        };
        let mut headers = Table::new();
        cause.write(&mut headers);
        let read = Cause::read(&headers).unwrap();
        assert!(read.error.len() <= ERROR_MAX && read.error.len() > ERROR_MAX - 2);
        let traceback = read.traceback.unwrap();
        assert!(traceback.len() <= TRACEBACK_MAX && traceback.ends_with(" last"));
    }

    #[test]
    fn a_broker_says_it_in_its_own_words() {
        for (word, reason) in [
            ("rejected", Reason::Rejected),
            ("expired", Reason::Expired),
            ("maxlen", Reason::Overflowed),
            ("delivery_limit", Reason::Crashed),
        ] {
            let mut death = Table::new();
            death.insert("queue", "mail");
            death.insert("reason", word);
            death.insert("count", 2);
            death.insert("time", 1_700_000_000);
            let mut headers = Table::new();
            headers.insert("x-death", Value::Array(vec![Value::Map(death)]));
            let cause = Cause::read(&headers).unwrap();
            assert_eq!(cause.reason, reason);
            assert_eq!(cause.queue.as_deref(), Some("mail"));
            assert_eq!(cause.attempts, Some(2));
            assert!(cause.died_at.is_some() && cause.error.contains(word));
        }
        assert_eq!(Cause::read(&Table::new()), None);
    }

    #[test]
    fn what_an_older_node_wrote_is_its_error() {
        let mut headers = Table::new();
        headers.insert(header::REASON, "unknown task t");
        let cause = Cause::read(&headers).unwrap();
        assert_eq!(
            (cause.reason, cause.error.as_str()),
            (Reason::Rejected, "unknown task t")
        );
    }
}
