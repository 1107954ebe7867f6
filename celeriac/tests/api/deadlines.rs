//! Guarantee S6: sending and watching end in time, over a backend that is slow to watch.

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::{Backend, Capabilities, MemoryBackend, Store, Stored, Waiter};
use celeriac::broker::{BoxFuture, Broker, MemoryBroker};
use celeriac::canvas::group;
use celeriac::protocol::ResultDocument;
use celeriac::{App, Call, Error, Result, Value};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A backend that takes its time to watch a result.
#[derive(Debug)]
struct Slow(MemoryBackend, Duration);

impl Backend for Slow {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        self.0.store(batch)
    }

    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        self.0.fetch(ids)
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async move {
            tokio::time::sleep(self.1).await;
            self.0.watch(id).await
        })
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        self.0.forget(ids)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

fn app(watching: Duration) -> (App, MemoryBroker) {
    let broker = MemoryBroker::new();
    let app = App::builder("test")
        .broker_value(Arc::new(broker.clone()))
        .backend_value(Arc::new(Slow(MemoryBackend::new(), watching)))
        .send_timeout(5 * SECOND)
        .build()
        .unwrap();
    (app, broker)
}

#[tokio::test(start_paused = true)]
async fn sending_has_one_deadline_for_all_of_it() {
    let (app, broker) = app(60 * SECOND);
    let began = Instant::now();
    let error = app.call::<()>("far.away").send(&app).await.unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { after, .. } if *after == 5 * SECOND),
        "{error}"
    );
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert!(broker.queue("celery").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_group_are_watched_at_once() {
    let (app, broker) = app(SECOND);
    let members = (0..20).map(|_| Call::<Value>::new("far.away"));
    let call: Call<Vec<Value>> = group(members).into();
    let began = Instant::now();
    let result = call.send(&app).await.unwrap();
    assert_eq!((result.members().len(), began.elapsed()), (20, SECOND));
    assert_eq!(broker.queue("celery").await.unwrap().unwrap().ready, 20);
}

#[tokio::test(start_paused = true)]
async fn beginning_to_watch_counts_to_the_wait() {
    let (app, _) = app(60 * SECOND);
    let mut result = app.result::<()>("some-id");
    let began = Instant::now();
    let error = result.changed(2 * SECOND).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(began.elapsed(), 2 * SECOND);
}
