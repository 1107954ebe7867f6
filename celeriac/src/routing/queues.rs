//! What is known of task queues.

use std::borrow::Cow;

use celeriac_protocol::naming::argument;

use super::{QueueType, TaskQueue};
use crate::broker::ExchangeKind;
use crate::error::{Error, Result};

/// The queues that are described, and how one is made of which only the name is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Queues {
    described: Vec<TaskQueue>,
    /// Whether a queue that is not described is made when it is named. Default true.
    pub create_missing: bool,
    /// How such a queue is kept. Default classic.
    pub missing_type: QueueType,
    /// How the exchange before such a queue routes. Default direct.
    pub missing_exchange_type: ExchangeKind,
    /// The highest priority of queues that do not say it themselves. Default none. Quorum
    /// queues have none.
    pub max_priority: Option<u8>,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            described: Vec::new(),
            create_missing: true,
            missing_type: QueueType::Classic,
            missing_exchange_type: ExchangeKind::Direct,
            max_priority: None,
        }
    }
}

impl Queues {
    /// Adds a description.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when no broker takes it, or its name is taken.
    pub fn add(&mut self, queue: TaskQueue) -> Result<()> {
        queue.check()?;
        if self.known(&queue.name).is_some() {
            return Err(Error::invalid(
                "queues",
                "each queue once",
                format!("{} twice", queue.name),
            ));
        }
        self.described.push(queue);
        Ok(())
    }

    /// Returns the described queues in their order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, TaskQueue>> {
        self.described.iter().map(|queue| self.complete(queue))
    }

    /// Returns a queue by its name; one that is not described is described by its name alone.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is not described and [`Queues::create_missing`] is off.
    pub fn get(&self, name: &str) -> Result<Cow<'_, TaskQueue>> {
        if let Some(queue) = self.known(name) {
            return Ok(self.complete(queue));
        }
        if !self.create_missing {
            let names: Vec<_> = self.described.iter().map(|queue| &*queue.name).collect();
            return Err(Error::invalid(
                "queue",
                format!(
                    "one that is described ({}), since missing queues are not to be created",
                    names.join(", ")
                ),
                name,
            ));
        }
        let missing = TaskQueue::new(name)
            .exchange(name, self.missing_exchange_type)
            .queue_type(self.missing_type);
        Ok(Cow::Owned(self.complete(&missing).into_owned()))
    }

    /// Returns the queues behind an exchange.
    pub(crate) fn behind<'a>(
        &'a self,
        exchange: &'a str,
    ) -> impl Iterator<Item = Cow<'a, TaskQueue>> {
        let behind = self
            .described
            .iter()
            .filter(move |q| q.exchange == exchange);
        behind.map(|queue| self.complete(queue))
    }

    /// Returns the exchange and key of a queue's messages; `None` for one that is reached by
    /// its name.
    ///
    /// # Errors
    ///
    /// Those of [`Queues::get`].
    pub(crate) fn way(&self, name: &str) -> Result<Option<(String, String)>> {
        let direct = self.missing_exchange_type == ExchangeKind::Direct;
        if self.create_missing && direct && self.described.is_empty() {
            return Ok(None);
        }
        let queue = self.get(name)?;
        let way = || (queue.exchange.clone(), queue.key().to_owned());
        Ok((queue.exchange_type != ExchangeKind::Direct).then(way))
    }

    fn known(&self, name: &str) -> Option<&TaskQueue> {
        self.described.iter().find(|queue| queue.is(name))
    }

    fn complete<'a>(&self, queue: &'a TaskQueue) -> Cow<'a, TaskQueue> {
        match self.max_priority {
            Some(most)
                if !queue.is_quorum() && queue.arguments.get(argument::MAX_PRIORITY).is_none() =>
            {
                Cow::Owned(queue.clone().max_priority(most))
            }
            _ => Cow::Borrowed(queue),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::Value;

    use super::*;

    #[test]
    fn a_missing_queue_is_made_as_asked() {
        let mut queues = Queues::default();
        assert_eq!(*queues.get("a").unwrap(), TaskQueue::new("a"));
        assert_eq!(queues.way("a").unwrap(), None);
        queues.missing_exchange_type = ExchangeKind::Topic;
        queues.missing_type = QueueType::Quorum;
        queues.max_priority = Some(5);
        let made = queues.get("a").unwrap();
        assert!(made.is_quorum() && made.arguments.get("x-max-priority").is_none());
        assert_eq!(queues.way("a").unwrap(), Some(("a".into(), "a".into())));
    }

    #[test]
    fn a_missing_queue_may_be_an_error() {
        let mut queues = Queues {
            create_missing: false,
            ..Queues::default()
        };
        queues.add(TaskQueue::new("a")).unwrap();
        queues.add(TaskQueue::new("b")).unwrap();
        assert_eq!(
            queues.get("c").unwrap_err().to_string(),
            "queue: expected one that is described (a, b), since missing queues are not to be \
             created, found c"
        );
        assert!(queues.way("c").is_err());
        assert!(queues.add(TaskQueue::new("a")).is_err());
    }

    #[test]
    fn the_highest_priority_is_every_classic_queue_s() {
        let mut queues = Queues {
            max_priority: Some(5),
            ..Queues::default()
        };
        queues.add(TaskQueue::new("own").max_priority(9)).unwrap();
        let most = |name| {
            queues
                .get(name)
                .unwrap()
                .arguments
                .get("x-max-priority")
                .cloned()
        };
        assert_eq!(most("own"), Some(Value::Int(9)));
        assert_eq!(most("other"), Some(Value::Int(5)));
    }
}
