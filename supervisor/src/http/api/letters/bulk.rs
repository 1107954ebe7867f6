//! Many letters at once: in batches, as far as the time of a request allows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::act::{ReplayOrder, now, told, unfit};
use super::{LetterFilter, after, cursor, failed};
use crate::access::Identity;
use crate::http::api::check;
use crate::http::api::page::Cursor;
use crate::http::{Desk, Problem};
use crate::letters::{self, Fate, Filter, Letter};
use crate::store::StoreError;

/// Which letters, and how many that is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BulkOrder {
    /// These letters.
    pub(in crate::http) ids: Option<Vec<String>>,
    /// All letters that match. One of `ids` and `filter` is needed.
    pub(in crate::http) filter: Option<LetterFilter>,
    /// How many letters are meant: another number changes nothing.
    pub(in crate::http) confirm: u64,
    /// Where to go on: `next_cursor` of the answer before.
    #[schema(value_type = Option<String>)]
    pub(in crate::http) cursor: Option<Cursor<String>>,
    /// A replay's other queue.
    pub(in crate::http) queue: Option<String>,
    /// A replay under new ids.
    #[serde(default)]
    pub(in crate::http) new_id: bool,
    /// A replay that keeps times (eta), and when tasks expire.
    #[serde(default)]
    pub(in crate::http) keep_times: bool,
}

/// What was done with many letters.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct BulkAnswer {
    /// How many were replayed, or discarded.
    pub(in crate::http) done: u64,
    /// How many could not be, and are as they were.
    pub(in crate::http) failed: u64,
    /// Why, of the first few.
    pub(in crate::http) errors: Vec<BulkError>,
    /// Where to go on with the same order; `null` when all was done.
    pub(in crate::http) next_cursor: Option<String>,
}

/// Why one letter could not be replayed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct BulkError {
    pub(in crate::http) id: String,
    pub(in crate::http) detail: String,
}

/// So many letters are read, sent and noted at once.
const BATCH: usize = 50;
/// And no more of bodies in bytes, unless one alone has more.
const BYTES: u64 = 16 << 20;
/// So many ids may be named.
const IDS: usize = 1_000;
/// So many reasons are told.
const ERRORS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Replay,
    Discard,
}

/// Sends letters again.
pub(in crate::http) async fn replay_all(
    desk: &Desk,
    who: &Identity,
    order: BulkOrder,
) -> Result<BulkAnswer, Problem> {
    perform(desk, who, order, What::Replay).await
}

/// Discards letters.
pub(in crate::http) async fn discard_all(
    desk: &Desk,
    who: &Identity,
    order: BulkOrder,
) -> Result<BulkAnswer, Problem> {
    perform(desk, who, order, What::Discard).await
}

async fn perform(
    desk: &Desk,
    who: &Identity,
    order: BulkOrder,
    what: What,
) -> Result<BulkAnswer, Problem> {
    let filter = order.filter()?;
    let edit = ReplayOrder {
        queue: order.queue,
        new_id: order.new_id,
        keep_times: order.keep_times,
        ..ReplayOrder::default()
    };
    edit.edit()?;
    let start = after(order.cursor.as_ref())?;
    if start.is_none() {
        let found = desk.store.count_letters(&filter).await.map_err(failed)?;
        if found != order.confirm {
            let detail = format!(
                "confirm: expected {found}, the number of letters that match, found {}; \
                 nothing was changed",
                order.confirm
            );
            return Err(Problem::conflict(detail));
        }
    }
    let (desk, who) = (desk.clone(), who.clone());
    // In a task of its own: a client that goes away must not part sending and noting.
    let done = tokio::spawn(async move {
        let mut work = Work {
            within: desk.config.request_timeout.mul_f64(0.6),
            desk: &desk,
            by: who.name.to_string(),
            what,
            order: edit,
            answer: BulkAnswer {
                done: 0,
                failed: 0,
                errors: Vec::new(),
                next_cursor: None,
            },
        };
        work.run(filter, start).await?;
        let answer = work.answer;
        let (action, metric) = match what {
            What::Replay => ("letter.replay", "replayed"),
            What::Discard => ("letter.discard", "discarded"),
        };
        desk.board.metrics.letters(metric, answer.done);
        let details = json!({
            "done": answer.done, "failed": answer.failed, "more": answer.next_cursor.is_some(),
        });
        desk.audit(&who, action, "", details).await;
        Ok(answer)
    });
    done.await
        .unwrap_or_else(|_| Err(Problem::new(500, "internal", "the work panicked")))
}

impl BulkOrder {
    fn filter(&self) -> Result<Filter, Problem> {
        match (self.ids.clone(), self.filter.clone()) {
            (Some(ids), None) if ids.len() <= IDS => {
                for (at, id) in ids.iter().enumerate() {
                    check::name(&format!("ids[{at}]"), id)?;
                }
                Ok(Filter {
                    ids: Some(ids),
                    ..LetterFilter::default().read("")?
                })
            }
            (Some(ids), None) => {
                let expected = format!("at most {IDS} ids; name more by a filter");
                Err(Problem::field("ids", expected, ids.len().to_string()))
            }
            (None, Some(filter)) => filter.read("filter."),
            (ids, _) => {
                let found = if ids.is_some() { "both" } else { "neither" };
                Err(Problem::field("ids", "one of ids and filter", found))
            }
        }
    }
}

/// An order on its way through the letters.
struct Work<'a> {
    desk: &'a Desk,
    within: Duration,
    by: String,
    what: What,
    order: ReplayOrder,
    answer: BulkAnswer,
}

impl Work<'_> {
    /// Goes through the letters until time is up. What is done changes its state and
    /// matches no more, so the place is kept by time of death and id.
    async fn run(
        &mut self,
        filter: Filter,
        mut start: Option<crate::store::After>,
    ) -> Result<(), Problem> {
        let deadline = Instant::now() + self.within;
        let _turn = self.desk.board.replays.lock().await;
        loop {
            let most = match self.what {
                What::Replay => BATCH,
                What::Discard => 10 * BATCH,
            };
            let letters = self.desk.store.letters(&filter, start.as_ref(), most).await;
            let letters = match letters {
                Ok(letters) => self.portion(letters),
                // What was done is worth an answer.
                Err(error) if self.answer.done > 0 => {
                    self.fault("", &error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(failed(error)),
            };
            let Some(last) = letters.last() else {
                self.answer.next_cursor = None;
                return Ok(());
            };
            let before = self.answer.next_cursor.replace(cursor(last));
            start = after(Some(&Cursor(format!("{}/{}", last.died_at, last.id))))?;
            let fates = match self.what {
                What::Replay => match self.free(&letters).await {
                    Ok(letters) => self.send(letters).await,
                    Err(error) if self.answer.done > 0 => {
                        self.answer.next_cursor = before;
                        self.fault("", &error.to_string());
                        return Ok(());
                    }
                    Err(error) => return Err(failed(error)),
                },
                What::Discard => letters
                    .into_iter()
                    .map(|l| (l.id, self.discarded()))
                    .collect(),
            };
            self.note(&fates).await;
            if Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    fn discarded(&self) -> Fate {
        Fate::Discarded {
            at: now(),
            by: self.by.clone(),
        }
    }

    /// As many of these as are dealt with at once: bodies may be large.
    fn portion(&self, mut letters: Vec<Letter>) -> Vec<Letter> {
        if self.what == What::Replay {
            let mut size = 0;
            let fits = |letter: &Letter| {
                size += letter.body_size;
                size <= BYTES
            };
            let count = letters.iter().map(fits).take_while(|fits| *fits).count();
            letters.truncate(count.max(1));
        }
        letters
    }

    /// Reads letters with their messages, but for those that another supervisor has sent
    /// meanwhile; fails when nothing that is sent could be noted.
    async fn free(&self, letters: &[Letter]) -> Result<Vec<Letter>, StoreError> {
        let ids: Vec<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
        let free = self.desk.store.letters_to_send(&ids).await?;
        let ids = ids.into_iter().zip(free).filter(|(_, free)| *free);
        let filter = Filter {
            ids: Some(ids.map(|(id, _)| id.to_owned()).collect()),
            ..Filter::default()
        };
        self.desk.store.whole_letters(&filter, None, BATCH).await
    }

    /// Sends letters again; returns what became of those that the broker has.
    async fn send(&mut self, letters: Vec<Letter>) -> Vec<(String, Fate)> {
        let now = now();
        let (mut publications, mut fates) = (Vec::new(), Vec::new());
        for letter in letters {
            let edit = match self.order.edit() {
                Ok(edit) => edit,
                Err(problem) => {
                    self.fault(&letter.id, problem.detail());
                    continue;
                }
            };
            match letters::replay(&letter, &edit, now) {
                Ok(publication) => {
                    publications.push(publication);
                    let fate = Fate::Replayed {
                        at: now,
                        by: self.by.clone(),
                        task_id: edit.new_id.or(letter.task_id),
                    };
                    fates.push((letter.id, fate));
                }
                Err(wrong) => self.fault(&letter.id, unfit(wrong).detail()),
            }
        }
        let sent = self.desk.app.broker().publish_all(publications);
        let Ok(answers) = tokio::time::timeout(self.desk.config.broker_timeout, sent).await else {
            for (id, _) in &fates {
                self.fault(id, "the broker did not confirm in time");
            }
            return Vec::new();
        };
        let mut done = Vec::with_capacity(fates.len());
        for (fate, answer) in fates.into_iter().zip(answers) {
            match answer {
                Ok(()) => done.push(fate),
                Err(error) => self.fault(&fate.0, &error.to_string()),
            }
        }
        done
    }

    /// Notes what became of letters.
    async fn note(&mut self, fates: &[(String, Fate)]) {
        if fates.is_empty() {
            return;
        }
        match self.desk.store.settle_letters(fates).await {
            Ok(changed) => {
                for ((id, fate), changed) in fates.iter().zip(changed) {
                    // Another supervisor of the same store was faster.
                    if changed {
                        self.answer.done += 1;
                        told(self.desk, id, fate.as_str());
                    }
                }
            }
            Err(error) => {
                let sent = match self.what {
                    What::Replay => "the message was sent, but that is not noted: ",
                    What::Discard => "",
                };
                for (id, _) in fates {
                    self.fault(id, &format!("{sent}{error}"));
                }
            }
        }
    }

    fn fault(&mut self, id: &str, detail: &str) {
        self.answer.failed += 1;
        if self.answer.errors.len() < ERRORS {
            self.answer.errors.push(BulkError {
                id: id.to_owned(),
                detail: detail.to_owned(),
            });
        }
    }
}
