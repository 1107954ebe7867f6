//! The backend of those who want no results.

use celeriac_protocol::ResultDocument;

use super::{Backend, Capabilities, Store, Stored, Waiter};
use crate::broker::BoxFuture;
use crate::error::{Error, Result};

/// Keeps nothing: every document is [`Stored::Dropped`], and asking for a result is an
/// error that says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct DisabledBackend;

fn no_results() -> Error {
    Error::Unsupported {
        what: "reading a result",
        with: "disabled://".to_owned(),
        instead: "set a result backend, such as redis:// or rpc://",
    }
}

impl Backend for DisabledBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            stores: false,
            shared: false,
            fetch: false,
            join: false,
        }
    }

    fn url(&self) -> String {
        "disabled://".to_owned()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(async move { batch.iter().map(|_| Ok(Stored::Dropped)).collect() })
    }

    fn fetch<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        Box::pin(async { Err(no_results()) })
    }

    fn watch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async { Err(no_results()) })
    }

    fn forget<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
