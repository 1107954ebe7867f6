//! Stores results, those of one batch at once.
#![allow(clippy::vec_box, reason = "parcels come boxed")]

use std::ops::Range;

use celeriac::Error;
use celeriac::backend::{Store, Stored};
use celeriac::protocol::{Exception, ResultDocument, State};

use super::{Due, Parcel};
use crate::execution::run;
use crate::shared::Shared;

/// Stores the results that are due. What the backend refuses, it may take later: rights,
/// disks and replicas are the operator's, and a result is not dropped meanwhile.
pub(super) async fn store(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let due = |parcel: &Parcel| parcel.is(Due::Store);
    let documents = batch.iter().filter(|parcel| due(parcel));
    let documents: usize = documents.map(|parcel| parcel.report.stores.len()).sum();
    if documents == 0 {
        return;
    }
    let mut stores = Vec::with_capacity(documents);
    let mut places: Vec<(usize, Range<usize>)> = Vec::with_capacity(batch.len());
    for (at, parcel) in batch.iter().enumerate().filter(|(_, parcel)| due(parcel)) {
        let start = stores.len();
        stores.extend(parcel.report.stores.iter().cloned());
        places.push((at, start..stores.len()));
    }
    let mut answers = shared.app.backend().store(stores).await.into_iter();
    for (at, range) in places {
        let parcel = &mut *batch[at];
        let stores = std::mem::take(&mut parcel.report.stores);
        for (store, answer) in stores.into_iter().zip(answers.by_ref().take(range.len())) {
            match answer {
                Ok(Stored::Written | Stored::AlreadyDone | Stored::Dropped) => {}
                Err(error) => not_stored(shared, parcel, store, error),
            }
        }
    }
}

fn not_stored(shared: &Shared, parcel: &mut Parcel, mut store: Store, error: Error) {
    let task_id = store.document.task_id.as_str();
    match error {
        Error::Encode(_) | Error::Decode(_) => {
            let exception = Exception::encode_error(&error.to_string());
            // The task has no result that anybody can read, so it failed.
            if store.document.status == State::Success
                && let Some(claim) = parcel.claim.as_ref().filter(|claim| claim.id() == task_id)
            {
                parcel.report = run::failed(shared, claim, exception);
                return;
            }
            match readable(store.document.clone(), exception) {
                Some(document) => {
                    store.document = document;
                    parcel.report.stores.push(store);
                }
                None => lost(shared, task_id, &error),
            }
        }
        Error::Unavailable { .. }
        | Error::Timeout { .. }
        | Error::Refused { .. }
        | Error::Closed(_) => {
            parcel.report.stores.push(store);
            parcel.wait(error);
        }
        // What was asked is impossible for this document, and would be so again.
        error => lost(shared, task_id, &error),
    }
}

fn lost(shared: &Shared, task_id: &str, error: &Error) {
    shared.counters.results_refused.add(1);
    tracing::error!(task_id, %error, "result is lost: it cannot be stored");
}

/// Puts the reason why a document cannot be written in place of its content; `None` when
/// that was done before.
fn readable(document: ResultDocument, why: Exception) -> Option<ResultDocument> {
    let done = Exception::from_value(&document.result).is_ok_and(|e| e.exc_type == why.exc_type);
    (!done).then(|| ResultDocument {
        result: why.to_value(),
        children: Some(Vec::new()),
        traceback: None,
        status: match document.status {
            State::Success => State::Failure,
            other => other,
        },
        ..document
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_be_written_says_so_once() {
        let why = || Exception::encode_error("a map with keys that are no text");
        let document = ResultDocument::new("id", State::Retry, 1);
        let document = readable(document, why()).unwrap();
        assert_eq!(document.status, State::Retry);
        assert_eq!(Exception::from_value(&document.result).unwrap(), why());
        assert_eq!(readable(document, why()), None);
    }
}
