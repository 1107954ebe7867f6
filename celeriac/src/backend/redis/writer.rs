//! Storing documents: one round trip for a batch, atomic for each document.

use std::sync::Arc;

use celeriac_protocol::naming::keys;
use celeriac_protocol::{ResultDocument, State};
use redis::{Script, Value};

use super::link::Link;
use super::options::RedisOptions;
use super::stored;
use crate::backend::Stored;
use crate::error::{Error, Result};

/// How many documents go into one call: the server does nothing else meanwhile.
const BATCH: usize = 256;

/// How often a document is tried that others keep changing under us.
const ROUNDS: u32 = 8;

/// Stores documents.
#[derive(Debug)]
pub(super) struct Writer {
    link: Arc<Link>,
    script: Script,
}

/// A document on its way, encoded once.
struct Pending {
    place: usize,
    key: String,
    ttl: u64,
    body: Vec<u8>,
    /// The stored value that was found to be no success.
    judged: Vec<u8>,
}

impl Writer {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            script: Script::new(include_str!("store.lua")),
        }
    }

    /// Stores documents; the answers stand in their order.
    pub(super) async fn store(
        &self,
        documents: &[ResultDocument],
        options: &RedisOptions,
    ) -> Vec<Result<Stored>> {
        let mut answers: Vec<Option<Result<Stored>>> = documents.iter().map(|_| None).collect();
        let mut pending = Vec::with_capacity(documents.len());
        for (place, document) in documents.iter().enumerate() {
            match document.encode(options.codec) {
                Ok(body) => pending.push(Pending {
                    place,
                    key: options.key(&keys::task(&document.task_id)),
                    ttl: options.ttl(document.status == State::Failure),
                    body,
                    judged: Vec::new(),
                }),
                Err(error) => answers[place] = Some(Err(error.into())),
            }
        }
        for _ in 0..ROUNDS {
            let mut again = Vec::new();
            while !pending.is_empty() {
                let rest = pending.split_off(pending.len().min(BATCH));
                let batch = std::mem::replace(&mut pending, rest);
                match self.call(&batch).await {
                    Ok(values) => {
                        for (mut item, value) in batch.into_iter().zip(values) {
                            let place = item.place;
                            match judge(value, options.decompressed_limit) {
                                Verdict::Answer(answer) => answers[place] = Some(answer),
                                Verdict::Again(old) => {
                                    item.judged = old;
                                    again.push(item);
                                }
                            }
                        }
                    }
                    Err(error) => {
                        let mut first = Some(error);
                        // The rest would overtake it: of one task, its end a state before.
                        for item in batch.into_iter().chain(pending.drain(..)) {
                            let error = first.take().unwrap_or_else(not_tried);
                            answers[item.place] = Some(Err(error));
                        }
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            pending = again;
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(contended())))
            .collect()
    }

    async fn call(&self, batch: &[Pending]) -> Result<Vec<Value>> {
        let mut call = self.script.prepare_invoke();
        for item in batch {
            call.key(&item.key)
                .arg(item.ttl)
                .arg(&item.body[..])
                .arg(&item.judged[..]);
        }
        let call = &call;
        let values: Vec<Value> = self
            .link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await?;
        if values.len() == batch.len() {
            return Ok(values);
        }
        let reason = format!("expected {} answers, found {}", batch.len(), values.len());
        Err(Error::Refused {
            what: "storing results".to_owned(),
            reason,
        })
    }
}

enum Verdict {
    Answer(Result<Stored>),
    /// The old value is no success: replace it if it is still the same.
    Again(Vec<u8>),
}

fn judge(value: Value, limit: usize) -> Verdict {
    match value {
        Value::Int(1) => Verdict::Answer(Ok(Stored::Written)),
        Value::Int(0) => Verdict::Answer(Ok(Stored::AlreadyDone)),
        Value::BulkString(old) => match stored::decode(&old, limit) {
            Ok(document) if document.status == State::Success => {
                Verdict::Answer(Ok(Stored::AlreadyDone))
            }
            // What nobody can read is nobody's success.
            Ok(_) | Err(_) => Verdict::Again(old),
        },
        other => Verdict::Answer(Err(Error::Refused {
            what: "storing results".to_owned(),
            reason: format!("expected 0, 1 or the old value, found {other:?}"),
        })),
    }
}

/// The error of the batch's other documents; the first one carries the cause.
fn not_tried() -> Error {
    Error::unavailable(super::link::WHAT, "the batch that the result was in failed")
}

fn contended() -> Error {
    Error::unavailable(super::link::WHAT, "others keep changing the stored result")
}
