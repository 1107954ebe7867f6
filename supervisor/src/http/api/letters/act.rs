//! One letter is sent again, or discarded.

use celeriac_protocol::{Table, Timestamp, Value};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::LetterView;
use super::{failed, find};
use crate::access::Identity;
use crate::feed::Change;
use crate::http::api::check;
use crate::http::{Desk, Problem};
use crate::letters::{self, Edit, Fate, Letter, Unfit};

/// What is to be different when a message is sent again.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ReplayOrder {
    /// Other positional arguments.
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    pub(in crate::http) args: Option<Vec<Value>>,
    /// Other keyword arguments.
    #[schema(value_type = Option<std::collections::BTreeMap<String, serde_json::Value>>)]
    pub(in crate::http) kwargs: Option<Table>,
    /// Another queue than the one that it came from.
    pub(in crate::http) queue: Option<String>,
    /// Run it under a new id, and leave the result of the first one as it is.
    #[serde(default)]
    pub(in crate::http) new_id: bool,
    /// Keep its time (eta), and when it expires.
    #[serde(default)]
    pub(in crate::http) keep_times: bool,
}

impl ReplayOrder {
    /// Reads the order for one letter.
    pub(super) fn edit(&self) -> Result<Edit, Problem> {
        check::names("", [("queue", self.queue.as_deref())])?;
        Ok(Edit {
            args: self.args.clone(),
            kwargs: self.kwargs.clone(),
            queue: self.queue.clone(),
            new_id: self.new_id.then(|| Uuid::new_v4().to_string()),
            keep_times: self.keep_times,
        })
    }
}

pub(super) fn unfit(unfit: Unfit) -> Problem {
    Problem::field(unfit.field, unfit.expected, unfit.found)
}

/// Microseconds since the epoch.
pub(super) fn now() -> i64 {
    Timestamp::from(celeriac::clock::now()).micros()
}

/// Sends the last letter of a task again.
pub(in crate::http) async fn replay_task(
    desk: &Desk,
    who: &Identity,
    task: &str,
    order: ReplayOrder,
) -> Result<LetterView, Problem> {
    check::name("id", task)?;
    let found = desk.store.letter_of_task(task).await.map_err(failed)?;
    let letter = found.ok_or_else(|| {
        let detail = format!("no dead letter of task '{task}' is kept, so its message is unknown");
        Problem::not_found(detail)
    })?;
    replay(desk, who, letter, order).await
}

/// Sends a letter's message again.
///
/// It is noted once the broker has the message: a supervisor that ends between the two
/// leaves a letter that was sent, and may be sent once more, under the same id.
pub(in crate::http) async fn replay(
    desk: &Desk,
    who: &Identity,
    letter: Letter,
    order: ReplayOrder,
) -> Result<LetterView, Problem> {
    let edit = order.edit()?;
    // In a task of its own: a client that goes away must not part the two halves.
    let (desk, who) = (desk.clone(), who.clone());
    let done = tokio::spawn(async move { send(&desk, &who, letter, edit).await });
    done.await
        .unwrap_or_else(|_| Err(Problem::new(500, "internal", "the replay panicked")))
}

async fn send(
    desk: &Desk,
    who: &Identity,
    letter: Letter,
    edit: Edit,
) -> Result<LetterView, Problem> {
    // Two that replay the same letter at once would send it twice.
    let _turn = desk.board.replays.lock().await;
    let letter = find(desk, &letter.id).await?;
    if let Fate::Replayed { by, .. } = &letter.fate {
        let detail = format!("letter '{}' was replayed by {by} already", letter.id);
        return Err(Problem::conflict(detail));
    }
    let now = now();
    let publication = letters::replay(&letter, &edit, now).map_err(unfit)?;
    // What could not be noted is not sent.
    let free = desk.store.letters_to_send(&[letter.id.as_str()]).await;
    if free.map_err(failed)? != [true] {
        let detail = format!("letter '{}' was replayed meanwhile", letter.id);
        return Err(Problem::conflict(detail));
    }
    let queue = publication.routing_key.clone();
    let sent = desk.app.broker().publish(publication);
    match tokio::time::timeout(desk.config.broker_timeout, sent).await {
        Ok(sent) => sent?,
        Err(_) => {
            let detail = "the broker did not confirm in time: the message may or may not be there";
            return Err(Problem::new(504, "timeout", detail));
        }
    }
    let fate = Fate::Replayed {
        at: now,
        by: who.name.to_string(),
        task_id: edit.new_id.clone().or_else(|| letter.task_id.clone()),
    };
    let fates = [(letter.id.clone(), fate.clone())];
    let noted = desk.store.settle_letters(&fates).await;
    desk.board.metrics.letters("replayed", 1);
    told(desk, &letter.id, "replayed");
    let details = json!({
        "task": letter.task_id, "name": letter.name, "queue": queue, "new_id": edit.new_id,
        "edited": edit.args.is_some() || edit.kwargs.is_some(),
    });
    desk.audit(who, "letter.replay", &letter.id, details).await;
    if let Err(error) = noted {
        let detail = format!("the message was sent, but that is not noted in its letter: {error}");
        return Err(Problem::new(503, "not_noted", detail));
    }
    Ok(LetterView::of(&Letter { fate, ..letter }))
}

/// Discards a letter.
pub(in crate::http) async fn discard(
    desk: &Desk,
    who: &Identity,
    id: &str,
) -> Result<LetterView, Problem> {
    let _turn = desk.board.replays.lock().await;
    let letter = find(desk, id).await?;
    let fate = Fate::Discarded {
        at: now(),
        by: who.name.to_string(),
    };
    let fates = [(letter.id.clone(), fate.clone())];
    let changed = desk.store.settle_letters(&fates).await.map_err(failed)?;
    if changed != [true] {
        let detail = format!("letter '{id}' was {} already", letter.fate.as_str());
        return Err(Problem::conflict(detail));
    }
    desk.board.metrics.letters("discarded", 1);
    told(desk, id, "discarded");
    let details = json!({ "task": letter.task_id, "name": letter.name });
    desk.audit(who, "letter.discard", id, details).await;
    Ok(LetterView::of(&Letter { fate, ..letter }))
}

pub(super) fn told(desk: &Desk, id: &str, what: &'static str) {
    let id = id.to_owned();
    desk.board.feed.publish(Change::Letter { id, what });
}
