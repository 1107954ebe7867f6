//! What every result backend must do.

pub mod joining;
pub mod storing;
pub mod watching;

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::{Backend, Capabilities, MemoryBackend, Store, Stored};
use celeriac::broker::{BoxFuture, MemoryBroker};
use celeriac::protocol::{ResultDocument, State, Value};

use crate::eventually::within;

/// Opens the two ends of a backend.
pub trait Bench: Sync {
    /// Opens the backend of a node, which stores, and that of a client, which reads.
    fn open(&self) -> BoxFuture<'_, Ends>;

    /// Opens a backend that keeps results for so long, if it keeps them.
    fn open_with_ttl(&self, ttl: Duration) -> BoxFuture<'_, Option<Arc<dyn Backend>>>;
}

/// The two ends of a backend; one and the same where nothing is shared.
#[derive(Debug)]
pub struct Ends {
    /// Who stores.
    pub node: Arc<dyn Backend>,
    /// Who reads.
    pub client: Arc<dyn Backend>,
}

/// The memory backend.
#[derive(Debug, Default)]
pub struct MemoryBench;

impl Bench for MemoryBench {
    fn open(&self) -> BoxFuture<'_, Ends> {
        let backend = MemoryBackend::new();
        Box::pin(async move {
            Ends {
                node: Arc::new(backend.clone()),
                client: Arc::new(backend),
            }
        })
    }

    fn open_with_ttl(&self, ttl: Duration) -> BoxFuture<'_, Option<Arc<dyn Backend>>> {
        Box::pin(async move { Some(Arc::new(MemoryBackend::with_limits(10, ttl)) as _) })
    }
}

/// The Redis backend on a server.
#[derive(Debug)]
pub struct RedisBench(pub String);

impl Bench for RedisBench {
    fn open(&self) -> BoxFuture<'_, Ends> {
        Box::pin(async {
            let open = || Arc::new(celeriac::backend::RedisBackend::open(&self.0).unwrap());
            Ends {
                node: open(),
                client: open(),
            }
        })
    }

    fn open_with_ttl(&self, ttl: Duration) -> BoxFuture<'_, Option<Arc<dyn Backend>>> {
        Box::pin(async move {
            let url = format!("{}?result_expires={}", self.0, ttl.as_secs());
            Some(Arc::new(celeriac::backend::RedisBackend::open(&url).unwrap()) as _)
        })
    }
}

/// The rpc backend over a broker; a node and a client have a connection each.
#[derive(Debug)]
pub enum RpcBench {
    /// Over a memory broker.
    Memory(MemoryBroker),
    /// Over the broker of a URL.
    Url(String),
}

impl Bench for RpcBench {
    fn open(&self) -> BoxFuture<'_, Ends> {
        Box::pin(async {
            let open = || {
                let broker = match self {
                    Self::Memory(broker) => Arc::new(broker.connect()) as _,
                    Self::Url(url) => celeriac::broker::open(url).unwrap(),
                };
                celeriac::backend::open("rpc://", &broker).unwrap()
            };
            Ends {
                node: open(),
                client: open(),
            }
        })
    }

    fn open_with_ttl(&self, _: Duration) -> BoxFuture<'_, Option<Arc<dyn Backend>>> {
        Box::pin(async { None })
    }
}

/// Runs the whole suite on what an expression makes.
#[macro_export]
macro_rules! backend_suite {
    ($bench:expr) => {
        $crate::behaviours!(backend, $bench, [
            storing:
                what_is_stored_can_be_fetched
                a_success_is_never_replaced
                states_follow_each_other
                a_batch_is_stored_in_its_order
                values_of_all_kinds_come_back
                what_is_forgotten_is_gone
                a_result_expires
                closing_ends_everything;
            watching:
                who_waits_hears
                who_comes_late_hears_at_once
                many_wait_for_one_task
                a_thousand_results_are_heard
                a_late_state_does_not_hide_the_result
                large_results_are_heard;
            joining:
                the_last_member_joins_all
                a_member_counts_once
                a_finished_chord_is_not_joined_again
                a_chord_that_was_begun_anew_goes_on
                a_claim_is_held_by_one
                a_broken_chord_is_not_joined_again
                a_header_grows_while_it_runs
                a_nested_header_keeps_its_form
                a_group_is_saved_and_restored;
        ]);
    };
}

impl Ends {
    /// Returns what the backend claims.
    pub fn capabilities(&self) -> Capabilities {
        self.node.capabilities()
    }

    /// Stores documents as a node does.
    pub async fn store(&self, documents: impl IntoIterator<Item = ResultDocument>) -> Vec<Stored> {
        // A client whose results are sent to it has its queue once it asked for one.
        within("asking", self.client.fetch(&[])).await.unwrap();
        let reply_to = self.client.reply_to();
        let batch = documents.into_iter().map(|document| Store {
            reply_to: reply_to.clone(),
            correlation_id: Some(document.task_id.clone()),
            document,
        });
        let answers = within("storing", self.node.store(batch.collect())).await;
        answers.into_iter().map(|answer| answer.unwrap()).collect()
    }

    /// Fetches one document as a client does.
    pub async fn fetch(&self, id: &str) -> Option<ResultDocument> {
        let ids = [id.to_owned()];
        within("fetching", self.client.fetch(&ids))
            .await
            .unwrap()
            .remove(0)
    }
}

/// Makes a task id that no other test has.
pub fn task_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Makes the document of a success.
pub fn success(id: &str, result: impl Into<Value>) -> ResultDocument {
    ResultDocument::success(id, result, celeriac::clock::now())
}

/// Makes the document of a state on the way.
pub fn state(id: &str, state: State) -> ResultDocument {
    ResultDocument::new(id, state, Value::Null)
}
