//! Letters as clients see them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use celeriac_protocol::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::Redaction;
use crate::http::view;
use crate::letters::{Fate, Letter};

/// A dead letter.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct LetterView {
    pub(in crate::http) id: String,
    /// `null` for a message that is no task.
    pub(in crate::http) task_id: Option<String>,
    pub(in crate::http) name: Option<String>,
    /// The queue that the message came from.
    pub(in crate::http) queue: String,
    pub(in crate::http) reason: &'static str,
    pub(in crate::http) error: String,
    pub(in crate::http) error_type: Option<String>,
    pub(in crate::http) traceback: Option<String>,
    /// The node that put it away; `null` for a broker.
    pub(in crate::http) node: Option<String>,
    /// How often it was tried or delivered.
    pub(in crate::http) attempts: Option<u32>,
    pub(in crate::http) died_at: String,
    pub(in crate::http) root_id: Option<String>,
    pub(in crate::http) parent_id: Option<String>,
    /// The arguments as JSON in a text, hidden values hidden.
    pub(in crate::http) args: Option<String>,
    pub(in crate::http) kwargs: Option<String>,
    pub(in crate::http) body_size: u64,
    /// kept, replayed or discarded.
    pub(in crate::http) state: &'static str,
    /// When it was replayed or discarded, and by whom.
    pub(in crate::http) changed_at: Option<String>,
    pub(in crate::http) changed_by: Option<String>,
    /// The id of the task that it became.
    pub(in crate::http) new_task_id: Option<String>,
}

/// A dead letter with its message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct LetterDetail {
    #[serde(flatten)]
    pub(in crate::http) letter: LetterView,
    pub(in crate::http) headers: Value,
    pub(in crate::http) properties: Value,
    /// The body as it came, in base64; `null` where it was too large to be kept, is too
    /// large to be shown, or holds arguments that are hidden.
    pub(in crate::http) body: Option<String>,
    /// Whether it can be sent again.
    pub(in crate::http) replayable: bool,
}

/// Some letters, those that died last first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct LetterPage {
    pub(in crate::http) letters: Vec<LetterView>,
    /// Where the next page starts; `null` on the last one.
    pub(in crate::http) next_cursor: Option<String>,
    /// How many letters match in all.
    pub(in crate::http) matching: u64,
}

impl LetterView {
    pub(in crate::http) fn of(letter: &Letter) -> Self {
        let letter = letter.clone();
        let (changed_at, changed_by, new_task_id) = match letter.fate.clone() {
            Fate::Kept => (None, None, None),
            Fate::Replayed { at, by, task_id } => (Some(at), Some(by), task_id),
            Fate::Discarded { at, by } => (Some(at), Some(by), None),
        };
        Self {
            id: letter.id,
            task_id: letter.task_id,
            name: letter.name,
            queue: letter.queue,
            reason: letter.reason.as_str(),
            error: letter.error,
            error_type: letter.error_type,
            traceback: letter.traceback,
            node: letter.node,
            attempts: letter.attempts,
            died_at: moment(letter.died_at),
            root_id: letter.root_id,
            parent_id: letter.parent_id,
            args: letter.args,
            kwargs: letter.kwargs,
            body_size: letter.body_size,
            state: letter.fate.as_str(),
            changed_at: changed_at.map(moment),
            changed_by,
            new_task_id,
        }
    }
}

impl LetterDetail {
    pub(in crate::http) fn of(letter: &Letter, redaction: &Redaction) -> Self {
        let json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
        Self {
            headers: json(serde_json::to_value(letter.shown_headers(redaction))),
            properties: json(serde_json::to_value(&letter.properties)),
            body: letter
                .shown_body(redaction)
                .map(|body| STANDARD.encode(body)),
            replayable: letter.body.is_some(),
            letter: LetterView::of(letter),
        }
    }
}

fn moment(micros: i64) -> String {
    view::moment::of(Timestamp::from_micros(micros))
}
