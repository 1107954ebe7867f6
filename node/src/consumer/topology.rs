//! What must be there before a queue is consumed.

use celeriac::broker::{Binding, ExchangeKind, Topology};
use celeriac::protocol::naming::delay;
use celeriac::routing::TaskQueue;

/// The queue as it is described; the way to it for what Celery's clients delay; and the
/// place for what nobody can run.
pub(crate) fn of(queue: &TaskQueue, dead_letters: bool) -> Topology {
    let mut topology = queue.topology().and(delayed(queue));
    if dead_letters {
        // The copies of a broadcast queue go with their nodes; what is dead stays.
        topology = topology.and(Topology::dead_letters(queue.family()));
    }
    topology
}

/// Celery's clients delay tasks to quorum queues behind other than direct exchanges in the
/// broker, and leave it to the workers to make the stair and the way out of it.
fn delayed(queue: &TaskQueue) -> Topology {
    if !queue.is_quorum() || queue.exchange_type == ExchangeKind::Direct {
        return Topology::default();
    }
    let mut topology = Topology::delayed_delivery("quorum");
    let own = queue.routing_keys.is_empty().then_some(&queue.name);
    for key in queue.routing_keys.iter().chain(own) {
        let key = delay::delivery_binding(key);
        topology.bindings.push(Binding {
            to_exchange: true,
            ..Binding::new(delay::DELIVERY_EXCHANGE, &queue.exchange, &key)
        });
        topology
            .bindings
            .push(Binding::new(&queue.exchange, &queue.name, key));
    }
    topology
}

#[cfg(test)]
mod tests {
    use celeriac::routing::QueueType;

    use super::*;

    #[test]
    fn the_dead_letter_queue_is_bound_by_the_queue_s_name() {
        let mail = TaskQueue::new("mail");
        assert_eq!(of(&mail, false), Topology::task_queue("mail"));
        let whole = of(&mail, true);
        assert_eq!(whole.queues[1].name, "mail.dead");
        assert_eq!(
            whole.bindings[1],
            Binding::new("celeriac.dead", "mail.dead", "mail")
        );
    }

    #[test]
    fn copies_of_a_broadcast_queue_share_the_place_for_the_dead() {
        let whole = of(&TaskQueue::broadcast("reload").instance(), true);
        assert_eq!(whole.queues[1].name, "reload.dead");
        assert_eq!(whole.bindings[1].key, "reload");
    }

    #[test]
    fn a_quorum_queue_behind_a_topic_gets_the_way_from_celerys_stair() {
        let queue = TaskQueue::new("qq").exchange("qx", ExchangeKind::Topic);
        assert_eq!(of(&queue, false).queues.len(), 1);
        let whole = of(&queue.queue_type(QueueType::Quorum), false);
        assert_eq!((whole.exchanges.len(), whole.queues.len()), (30, 29));
        let ways: Vec<_> = whole.bindings.iter().rev().take(2).collect();
        assert_eq!(*ways[0], Binding::new("qx", "qq", "#.qq"));
        assert_eq!(
            (&*ways[1].exchange, &*ways[1].destination, &*ways[1].key),
            ("celery_delayed_delivery", "qx", "#.qq")
        );
        assert!(ways[1].to_exchange);
    }
}
