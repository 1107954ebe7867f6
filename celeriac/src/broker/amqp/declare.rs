//! Declaring what must be there.

use std::time::Duration;

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};

use super::connection::Live;
use super::core::{Core, Role};
use super::failure::{Failure, code};
use super::table::{short, table};
use super::topology::Item;
use crate::broker::{Binding, Exchange, ExchangeKind, Queue, Topology};
use crate::error::Result;

/// A channel to ask things on that may be refused: a refusal closes the channel, the
/// next question opens another.
pub(super) struct Scratch<'a> {
    live: &'a Live,
    timeout: Duration,
    channel: Option<lapin::Channel>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(live: &'a Live, timeout: Duration) -> Self {
        Self {
            live,
            timeout,
            channel: None,
        }
    }

    /// Asks one thing.
    pub(super) async fn ask<T, F>(
        &mut self,
        ask: impl FnOnce(lapin::Channel) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = lapin::Result<T>>,
    {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.live.channel(self.timeout).await?,
        };
        let answer = tokio::time::timeout(self.timeout, ask(channel.clone())).await??;
        self.channel = Some(channel);
        Ok(answer)
    }

    /// Declares an exchange; one that is there already is adopted as it is.
    async fn exchange(
        &mut self,
        exchange: &Exchange,
        parts: (ShortString, FieldTable),
    ) -> Result<(), Failure> {
        let kind = match exchange.kind {
            ExchangeKind::Direct => lapin::ExchangeKind::Direct,
            ExchangeKind::Topic => lapin::ExchangeKind::Topic,
            ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
        };
        let options = ExchangeDeclareOptions {
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            ..ExchangeDeclareOptions::default()
        };
        let (name, arguments) = parts;
        let again = (name.clone(), kind.clone());
        let declared = self
            .ask(|channel| async move {
                channel
                    .exchange_declare(name, kind, options, arguments)
                    .await
            })
            .await;
        match declared {
            Err(failure) if failure.is(code::PRECONDITION_FAILED) => {
                let (name, kind) = again;
                let options = ExchangeDeclareOptions {
                    passive: true,
                    ..options
                };
                let found = self
                    .ask(|channel| async move {
                        channel
                            .exchange_declare(name, kind, options, FieldTable::default())
                            .await
                    })
                    .await;
                adopt("exchange", &exchange.name, true, failure, found.is_ok())
            }
            declared => declared,
        }
    }

    /// Declares a queue; one that is there already is adopted as it is.
    async fn queue(
        &mut self,
        queue: &Queue,
        parts: (ShortString, FieldTable),
    ) -> Result<(), Failure> {
        let options = QueueDeclareOptions {
            durable: queue.durable,
            exclusive: queue.exclusive,
            auto_delete: queue.auto_delete,
            ..QueueDeclareOptions::default()
        };
        let (name, arguments) = parts;
        let again = name.clone();
        let declared = self
            .ask(|channel| async move { channel.queue_declare(name, options, arguments).await })
            .await;
        match declared {
            Err(failure) if failure.is(code::PRECONDITION_FAILED) => {
                let found = self.look(again).await;
                let wanted = !queue.arguments.is_empty();
                let found = matches!(found, Ok(Some(_)));
                adopt("queue", &queue.name, wanted, failure, found)
            }
            declared => declared.map(drop),
        }
    }

    async fn bind(&mut self, binding: &Binding, wire: WireBinding) -> Result<(), Failure> {
        let WireBinding {
            destination,
            exchange,
            key,
            arguments,
        } = wire;
        let to_exchange = binding.to_exchange;
        self.ask(|channel| async move {
            if to_exchange {
                let options = ExchangeBindOptions::default();
                channel
                    .exchange_bind(destination, exchange, key, options, arguments)
                    .await
            } else {
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(destination, exchange, key, options, arguments)
                    .await
            }
        })
        .await
    }

    /// Asks for a queue's numbers; `None` when there is no such queue.
    pub(super) async fn look(
        &mut self,
        name: ShortString,
    ) -> Result<Option<lapin::Queue>, Failure> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asked = self
            .ask(|channel| async move {
                channel
                    .queue_declare(name, options, FieldTable::default())
                    .await
            })
            .await;
        match asked {
            Ok(queue) => Ok(Some(queue)),
            Err(failure) if failure.is(code::NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Decides about something that could not be declared as asked for: when it is there,
/// its owner wants it so; when it is not, the arguments are at fault. That somebody wants
/// it otherwise is said aloud: without its priorities, say, a queue looks like any other.
fn adopt(
    what: &str,
    name: &str,
    wanted: bool,
    failure: Failure,
    is_there: bool,
) -> Result<(), Failure> {
    if !is_there {
        return Err(failure);
    }
    if wanted {
        tracing::warn!(
            name, reason = %failure,
            "{what} is there otherwise than asked for, and is used as it is: to have it as asked \
             for, empty and delete it; else ask for it as it is",
        );
    } else {
        tracing::debug!(name, reason = %failure, "adopted an existing {what} as it is");
    }
    Ok(())
}

/// A topology in the client's types: whatever cannot be sent was found before
/// anything is.
pub(super) struct Wire<'a> {
    exchanges: Vec<(&'a Exchange, (ShortString, FieldTable))>,
    queues: Vec<(&'a Queue, (ShortString, FieldTable))>,
    bindings: Vec<(&'a Binding, WireBinding)>,
}

#[derive(Clone)]
struct WireBinding {
    destination: ShortString,
    exchange: ShortString,
    key: ShortString,
    arguments: FieldTable,
}

impl<'a> Wire<'a> {
    /// Converts a topology; leaves out the default exchange, which is always there.
    pub(super) fn new(topology: &'a Topology) -> Result<Self> {
        let mut wire = Self {
            exchanges: Vec::new(),
            queues: Vec::new(),
            bindings: Vec::new(),
        };
        for exchange in topology
            .exchanges
            .iter()
            .filter(|exchange| !exchange.name.is_empty())
        {
            let parts = (
                short("exchange name", &exchange.name)?,
                table(&exchange.arguments)?,
            );
            wire.exchanges.push((exchange, parts));
        }
        for queue in &topology.queues {
            wire.queues.push((
                queue,
                (short("queue name", &queue.name)?, table(&queue.arguments)?),
            ));
        }
        for binding in topology
            .bindings
            .iter()
            .filter(|binding| !binding.exchange.is_empty())
        {
            let parts = WireBinding {
                destination: short("queue name", &binding.destination)?,
                exchange: short("exchange name", &binding.exchange)?,
                key: short("routing key", &binding.key)?,
                arguments: table(&binding.arguments)?,
            };
            wire.bindings.push((binding, parts));
        }
        Ok(wire)
    }

    /// Declares all of it; stops at the first refusal and says of what.
    pub(super) async fn declare(&self, scratch: &mut Scratch<'_>) -> Result<(), (String, Failure)> {
        let mut first = Ok(());
        self.each(scratch, |item, failure| {
            first = Err((item.to_string(), failure));
            false
        })
        .await;
        first
    }

    /// Declares all of it; `failed` says whether to go on after a failure.
    async fn each(
        &self,
        scratch: &mut Scratch<'_>,
        mut failed: impl FnMut(Item<'_>, Failure) -> bool,
    ) {
        for (exchange, parts) in &self.exchanges {
            if let Err(failure) = scratch.exchange(exchange, parts.clone()).await
                && !failed(Item::Exchange(exchange), failure)
            {
                return;
            }
        }
        for (queue, parts) in &self.queues {
            if let Err(failure) = scratch.queue(queue, parts.clone()).await
                && !failed(Item::Queue(queue), failure)
            {
                return;
            }
        }
        for (binding, parts) in &self.bindings {
            if let Err(failure) = scratch.bind(binding, parts.clone()).await
                && !failed(Item::Binding(binding), failure)
            {
                return;
            }
        }
    }
}

/// Declares what is remembered on a new connection.
///
/// A refusal is a warning: it must not keep everything else from working, and who
/// needs the refused thing hears of it.
pub(super) async fn restore(core: &Core, live: &Live, role: Role) -> Result<(), Failure> {
    let topology = core.remembered().all(role);
    // What is remembered was converted before.
    let Ok(wire) = Wire::new(&topology) else {
        return Ok(());
    };
    let mut scratch = Scratch::new(live, core.config.call_timeout);
    let mut lost = None;
    wire.each(&mut scratch, |item, failure| {
        let expelled = matches!(failure, Failure::Expelled { .. });
        let forgotten = expelled && core.remembered().accuse(role, item);
        tracing::warn!(
            broker = %core.url, what = %item, reason = %failure, forgotten,
            "could not restore after a reconnect",
        );
        let go_on = live.is_up() && !expelled;
        if !go_on {
            lost = Some(failure);
        }
        go_on
    })
    .await;
    match lost {
        Some(failure) => Err(failure),
        None if live.is_up() => {
            core.remembered().acquit(role);
            Ok(())
        }
        None => Err(Failure::Late),
    }
}

/// Declares a queue that is remembered, with the ways to it.
pub(super) async fn ensure(core: &Core, live: &Live, queue: &str) -> Result<(), Failure> {
    let topology = core.remembered().of_queue(queue);
    let Ok(wire) = Wire::new(&topology) else {
        return Ok(());
    };
    wire.declare(&mut Scratch::new(live, core.config.call_timeout))
        .await
        .map_err(|(_, failure)| failure)
}
