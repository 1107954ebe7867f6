//! Sending a task again: its message where it is kept as a dead letter, else a new one.

use serde_json::{Value, json};
use uuid::Uuid;

use super::literal;
use crate::access::Identity;
use crate::http::api::letters::{self, ReplayOrder};
use crate::http::api::send;
use crate::http::extract::Body;
use crate::http::pages::form::{Fields, body};
use crate::http::pages::letter;
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};
use crate::letters::{Fate, Letter};

/// The form that sends a task again.
#[derive(Debug, Default)]
pub(in crate::http::pages) struct Replay {
    pub(in crate::http::pages) open: bool,
    /// Whether its message is kept, so that its id can be.
    pub(in crate::http::pages) kept: bool,
    pub(in crate::http::pages) args: String,
    pub(in crate::http::pages) kwargs: String,
    pub(in crate::http::pages) queue: String,
    /// Which field is wrong, and why.
    pub(in crate::http::pages) wrong: &'static str,
    pub(in crate::http::pages) error: String,
    pub(in crate::http::pages) hint: &'static str,
}

impl Replay {
    pub(in crate::http::pages) async fn of(desk: &Desk, task: &TaskView) -> Self {
        let letter = kept(desk, &task.id).await;
        let json = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            let value = literal::read(text).filter(|_| !text.is_empty());
            value.map(|value| value.to_string())
        };
        let (args, kwargs, hint) = match &letter {
            Some(letter) => (
                letter.args.clone(),
                letter.kwargs.clone(),
                "Its message is kept as a dead letter: left as it is, it is sent again as it was.",
            ),
            None => match (json(&task.args), json(&task.kwargs)) {
                (Some(args), kwargs) => (
                    Some(args),
                    kwargs,
                    "Its message is not kept: a new one is made of what stands here.",
                ),
                (None, kwargs) => (
                    None,
                    kwargs,
                    "Its arguments are not known whole: write down what it is to get.",
                ),
            },
        };
        Self {
            kept: letter.is_some(),
            args: args.unwrap_or_default(),
            kwargs: kwargs.unwrap_or_default(),
            queue: letter
                .map(|letter| letter.queue)
                .or_else(|| task.queue.clone())
                .unwrap_or_default(),
            hint,
            ..Self::default()
        }
    }

    /// The form as it was sent, with what is wrong.
    pub(super) fn refused(mut self, fields: &Fields, problem: &Problem) -> Self {
        let detail = problem.detail();
        let named = ["kwargs", "args", "queue"]
            .into_iter()
            .find(|field| detail.starts_with(field));
        self.open = true;
        self.args = fields.text("args");
        self.kwargs = fields.text("kwargs");
        self.queue = fields.text("queue");
        self.wrong = named.unwrap_or_default();
        self.error = detail.to_owned();
        self
    }
}

/// Returns the dead letter of a task, if one is kept that can be sent again.
async fn kept(desk: &Desk, task: &str) -> Option<Letter> {
    // Without the store there is still the way of a new message.
    let letter = desk.store.letter_of_task(task).await.ok().flatten()?;
    (!matches!(letter.fate, Fate::Replayed { .. }) && letter.body.is_some()).then_some(letter)
}

/// Sends a task again as a form says; returns the id under which it runs.
pub(super) async fn by_form(
    desk: &Desk,
    who: &Identity,
    task: &TaskView,
    fields: &Fields,
) -> Result<String, Problem> {
    let Some(letter) = kept(desk, &task.id).await else {
        let queue = fields.get("queue");
        return anew(
            desk,
            who,
            task,
            fields.array("args")?.into(),
            fields.object("kwargs")?.into(),
            queue,
        )
        .await;
    };
    let order = letter::order(fields, [letter.args.as_deref(), letter.kwargs.as_deref()])?;
    let order = ReplayOrder {
        new_id: !fields.is_ticked("same_id"),
        queue: order.queue.filter(|queue| *queue != letter.queue),
        ..order
    };
    let sent = letters::replay(desk, who, letter, order).await?;
    Ok(sent.new_task_id.unwrap_or_else(|| task.id.clone()))
}

/// Sends a task again as it was; returns the id under which it runs.
pub(in crate::http::pages) async fn as_it_was(
    desk: &Desk,
    who: &Identity,
    task: &TaskView,
) -> Result<String, Problem> {
    if let Some(letter) = kept(desk, &task.id).await {
        let order = ReplayOrder {
            new_id: true,
            ..ReplayOrder::default()
        };
        let sent = letters::replay(desk, who, letter, order).await?;
        return Ok(sent.new_task_id.unwrap_or_else(|| task.id.clone()));
    }
    let known = |text: &Option<String>, empty: Value| match text {
        None => Some(empty),
        Some(text) => literal::read(text),
    };
    let args = task.args.as_ref().and(known(&task.args, json!([])));
    let (Some(args), Some(kwargs)) = (args, known(&task.kwargs, json!({}))) else {
        let detail = "its arguments are not known whole; replay it from its page";
        return Err(Problem::conflict(detail));
    };
    anew(desk, who, task, args, kwargs, task.queue.as_deref()).await
}

async fn anew(
    desk: &Desk,
    who: &Identity,
    task: &TaskView,
    args: Value,
    kwargs: Value,
    queue: Option<&str>,
) -> Result<String, Problem> {
    let Some(name) = &task.name else {
        return Err(Problem::conflict(
            "the task's name is not known, so it cannot be sent again",
        ));
    };
    let id = Uuid::new_v4().to_string();
    let order = json!({ "name": name, "args": args, "kwargs": kwargs, "queue": queue, "id": id });
    let Body(order) = body::<send::Order>(order)?;
    order.check(desk, "")?;
    order.post(desk).await?;
    let details = json!({ "name": name, "queue": queue, "new_id": id });
    desk.audit(who, "task.replay", &task.id, details).await;
    Ok(id)
}
