//! What every broker must do.

pub mod acknowledgement;
pub mod consumers;
pub mod locks;
pub mod messages;
pub mod queues;
pub mod routing;

use std::sync::Arc;

use bytes::Bytes;
use celeriac::broker::{
    BoxFuture, Broker, Consumer, Delivery, MemoryBroker, Publication, Queue, QueueStatus,
    Subscription, Topology,
};
use celeriac::protocol::Message;

use crate::eventually::{eventually, within};

/// Opens connections to one and the same broker.
pub trait Bench: Sync {
    /// Opens one more connection.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Broker>>;
}

/// A memory broker of its own for each test.
#[derive(Debug)]
pub struct MemoryBench(MemoryBroker);

impl MemoryBench {
    /// Makes a bench around an empty broker.
    pub fn new() -> Self {
        Self(MemoryBroker::new())
    }
}

impl Default for MemoryBench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench for MemoryBench {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async { Arc::new(self.0.connect()) as _ })
    }
}

/// A broker that a URL names.
#[derive(Debug)]
pub struct UrlBench(pub String);

impl Bench for UrlBench {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async {
            celeriac::broker::open(&self.0).unwrap_or_else(|error| panic!("{error}"))
        })
    }
}

/// Runs the whole suite on what an expression makes.
#[macro_export]
macro_rules! broker_suite {
    ($bench:expr) => {
        $crate::behaviours!(broker, $bench, [
            acknowledgement:
                an_acknowledged_message_is_gone
                a_dropped_receipt_gives_the_message_back
                a_requeued_message_comes_again
                a_rejected_message_goes_to_the_dead_letter_queue
                messages_without_acknowledgement_are_gone_when_sent;
            consumers:
                prefetch_bounds_what_is_handed_out
                a_batch_brings_what_is_there
                cancelling_gives_back_what_waits
                dropping_a_consumer_gives_back_what_waits
                prefetch_can_be_changed
                consumers_share_a_queue
                an_exclusive_consumer_is_alone
                order_is_kept;
            locks:
                a_lock_has_one_holder
                a_dropped_lock_is_free
                a_lock_goes_with_its_connection;
            routing:
                a_direct_exchange_goes_by_the_key
                a_fanout_exchange_goes_everywhere
                a_topic_exchange_goes_by_pattern
                exchanges_can_be_bound_to_exchanges
                a_mandatory_message_without_a_queue_is_refused
                an_unknown_exchange_refuses
                an_unconfirmed_message_arrives
                answers_stand_in_order
                a_described_queue_takes_what_its_keys_match
                every_copy_of_a_broadcast_queue_takes_a_message
                a_late_message_finds_the_queue_behind_a_pattern;
            queues:
                priorities_go_first
                a_private_queue_goes_with_its_connection
                an_auto_deleted_queue_goes_with_its_last_consumer
                counts_are_told
                purging_counts_what_it_drops
                deleting_tells_whether_there_was_one
                a_queue_with_other_arguments_is_adopted
                a_late_message_waits_for_its_time
                an_expired_message_is_gone
                closing_ends_everything;
            messages:
                bodies_of_all_sizes_arrive
                properties_arrive
                headers_of_all_types_arrive;
        ]);
    };
}

/// A connection with a queue of its own.
#[derive(Debug)]
pub struct Scene {
    /// The broker under test.
    pub broker: Arc<dyn Broker>,
    /// A queue that nobody else uses.
    pub queue: String,
}

impl Scene {
    /// Opens a connection and declares a queue.
    pub async fn new(bench: &dyn Bench) -> Self {
        Self::with(bench, |queue| queue).await
    }

    /// Opens a connection and declares a queue with more arguments.
    pub async fn with(bench: &dyn Bench, shape: impl FnOnce(Queue) -> Queue) -> Self {
        let broker = bench.open().await;
        let queue = unique("queue");
        let scene = Self { broker, queue };
        scene.declare(shape(self::queue(&scene.queue))).await;
        scene
    }

    /// Declares one more queue.
    pub async fn declare(&self, queue: Queue) {
        let topology = Topology {
            queues: vec![queue],
            ..Topology::default()
        };
        self.topology(&topology).await;
    }

    /// Declares.
    pub async fn topology(&self, topology: &Topology) {
        within("declaring", self.broker.declare(topology))
            .await
            .unwrap();
    }

    /// Publishes texts to the queue.
    pub async fn publish(&self, texts: &[&str]) {
        let publications = texts.iter().map(|text| to(&self.queue, text)).collect();
        for answer in within("publishing", self.broker.publish_all(publications)).await {
            answer.unwrap();
        }
    }

    /// Consumes the queue.
    pub async fn consume(&self, prefetch: u16) -> Box<dyn Consumer> {
        self.subscribe(Subscription::new(&*self.queue, prefetch))
            .await
    }

    /// Consumes.
    pub async fn subscribe(&self, subscription: Subscription) -> Box<dyn Consumer> {
        within("consuming", self.broker.consume(subscription))
            .await
            .unwrap()
    }

    /// Waits until the queue has so many messages ready.
    pub async fn ready(&self, count: u64) {
        let what = format!("{count} messages ready in {}", self.queue);
        eventually(&what, || async {
            let status = self.broker.queue(&self.queue).await.unwrap();
            status.filter(|status: &QueueStatus| status.ready == count)
        })
        .await;
    }
}

/// Makes a name that no other test has.
pub fn unique(kind: &str) -> String {
    format!("conformance.{kind}.{}", uuid::Uuid::new_v4().simple())
}

/// Makes a durable queue that goes by itself some time after the test.
pub fn queue(name: &str) -> Queue {
    Queue::new(name).argument("x-expires", 600_000)
}

/// Makes a publication of a text to a queue.
pub fn to(queue: &str, text: &str) -> Publication {
    Publication::to_queue(queue, message(text))
}

/// Makes a message of a text.
pub fn message(text: &str) -> Message {
    Message {
        body: Bytes::copy_from_slice(text.as_bytes()),
        ..Message::default()
    }
}

/// Waits for so many deliveries.
pub async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        let left = count - deliveries.len();
        let what = format!("{left} more deliveries");
        let more = within(&what, consumer.next(left))
            .await
            .expect("the consumer goes on");
        assert!(
            !more.is_empty() && more.len() <= left,
            "{} of at most {left}",
            more.len()
        );
        deliveries.extend(more);
    }
    deliveries
}

/// Waits for one delivery.
pub async fn one(consumer: &mut Box<dyn Consumer>) -> Delivery {
    take(consumer, 1).await.remove(0)
}

/// Returns a delivery's text.
pub fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message.body).expect("a test message is text")
}

/// Returns the texts of deliveries.
pub fn texts(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(text).collect()
}
