//! What must be there before a queue is consumed.

use celeriac::broker::{Binding, Exchange, ExchangeKind, Queue, Topology};
use celeriac::protocol::naming::{self, DEAD_EXCHANGE};

/// The queue as Celery declares it, without arguments, so that one that is there is
/// adopted as it is; and the place for what nobody can run.
pub(crate) fn of(queue: &str, dead_letter: bool) -> Topology {
    let topology = Topology::task_queue(queue);
    if !dead_letter {
        return topology;
    }
    let dead = naming::dead_queue(queue);
    topology.and(Topology {
        exchanges: vec![Exchange::new(DEAD_EXCHANGE, ExchangeKind::Direct)],
        queues: vec![Queue::new(&dead)],
        bindings: vec![Binding::new(DEAD_EXCHANGE, &dead, queue)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_letter_queue_is_bound_by_the_queue_s_name() {
        let plain = of("mail", false);
        assert_eq!(plain, Topology::task_queue("mail"));
        let whole = of("mail", true);
        assert_eq!(whole.queues[1].name, "mail.dead");
        assert_eq!(
            whole.bindings[1],
            Binding::new("celeriac.dead", "mail.dead", "mail")
        );
    }
}
