//! Hearing what happens in a cluster: events of tasks and workers, as they come.

use std::fmt;

use celeriac_protocol::event::Event;
use celeriac_protocol::naming::{self, argument, defaults};
use celeriac_protocol::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::broker::{Binding, Consumer, Exchange, ExchangeKind, Queue, Subscription, Topology};
use crate::control::millis;
use crate::error::{Error, Result};

/// The largest message of events that is read, in bytes.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The stream of events that workers and clients publish, Celery's among them.
///
/// Made by [`App::events`]. What nobody takes out within five seconds expires in the
/// broker: events are for looking.
pub struct Events {
    app: App,
    consumer: Box<dyn Consumer>,
}

impl App {
    /// Subscribes to the events whose routing key matches `pattern`, an AMQP topic: `#` is
    /// all, `task.#` those of tasks, `worker.heartbeat` one kind. Workers may have to be
    /// told to send those of tasks
    /// ([`Command::enable_events`](crate::control::Command::enable_events)).
    ///
    /// # Errors
    ///
    /// When the broker is out of reach.
    ///
    /// # Delivery guarantee
    ///
    /// None: events may be lost, by the sender, on the way, and while the link is down.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::App) -> celeriac::Result<()> {
    /// let mut events = app.events("task.#").await?;
    /// while let Some(heard) = events.next(256).await {
    ///     for event in heard.into_iter().flatten() {
    ///         println!("{} says {}", event.hostname, event.type_name());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn events(&self, pattern: &str) -> Result<Events> {
        let queue = naming::event_queue(&Uuid::new_v4().to_string());
        let topology = Topology {
            exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
            queues: vec![
                Queue::private(&queue)
                    .argument(argument::EXPIRES, millis(defaults::EVENT_QUEUE_EXPIRES))
                    .argument(argument::MESSAGE_TTL, millis(defaults::EVENT_TTL)),
            ],
            bindings: vec![Binding::new(naming::EVENT_EXCHANGE, &queue, pattern)],
        };
        self.broker().declare(&topology).await?;
        let consumer = self
            .broker()
            .consume(Subscription {
                exclusive: true,
                ..Subscription::unacknowledged(queue)
            })
            .await?;
        Ok(Events {
            app: self.clone(),
            consumer,
        })
    }
}

impl Events {
    /// Waits for the next events, those of `messages` messages at most; a message may hold
    /// many. `None` when the broker is closed. An event that cannot be read is an error in
    /// its place, and does not take its neighbours along.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self, messages: usize) -> Option<Vec<Result<Event>>> {
        let deliveries = self.consumer.next(messages).await?;
        let mut heard = Vec::with_capacity(deliveries.len() * 4);
        for delivery in deliveries {
            delivery.receipt.acknowledge();
            heard.extend(read(&delivery.message.body));
        }
        for event in heard.iter().flatten() {
            self.app.clock().adjust(event.clock);
        }
        Some(heard)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Reads each event of a message by itself.
fn read(body: &[u8]) -> Vec<Result<Event>> {
    if body.len() > MESSAGE_BYTES {
        let (expected, found) = (
            format!("at most {MESSAGE_BYTES} bytes"),
            format!("{} bytes", body.len()),
        );
        return vec![Err(Error::invalid("event message", expected, found))];
    }
    let event = |value| Event::from_value(value).map_err(Error::from);
    match json::from_slice(body, "event") {
        Ok(Value::Array(values)) => values.into_iter().map(event).collect(),
        Ok(value) => vec![event(value)],
        Err(error) => vec![Err(Error::from(error))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_event_does_not_take_its_neighbours_along() {
        let body = br#"[{"type":"task-started","uuid":"a","hostname":"w","timestamp":1},
            17, {"type":"task-started","hostname":"w","timestamp":1},
            {"type":"task-started","uuid":"b","hostname":"w","timestamp":1}]"#;
        let good: Vec<bool> = read(body).iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, false, true]);
        for garbage in [&b""[..], b"\xff\xfe", b"{", b"[[[[", b"null"] {
            assert!(read(garbage).iter().all(Result::is_err), "{garbage:?}");
        }
        assert!(read(&vec![b' '; MESSAGE_BYTES + 1])[0].is_err());
    }
}
