//! Results without what is hidden of them.

use celeriac_protocol::{ResultDocument, State, Table, Value};

use crate::access::Redaction;
use crate::http::Desk;

impl Desk {
    /// Hides in a result what the settings hide, before anybody sees it.
    pub(in crate::http) fn hide(&self, document: ResultDocument) -> ResultDocument {
        let known = self.board.history.get(&document.task_id);
        let known = known.as_ref().and_then(|task| task.name());
        hide(&self.config.redaction, known.map(|name| &**name), document)
    }
}

fn hide(
    redaction: &Redaction,
    known: Option<&str>,
    mut document: ResultDocument,
) -> ResultDocument {
    let told = document
        .extended
        .as_ref()
        .and_then(|extended| extended.name.clone());
    let name = known.or(told.as_deref());
    document.result = match document.status {
        // An exception keeps its form, so that its type can still be read.
        State::Failure | State::Retry if !redaction.hides_result_of(name) => {
            failure(redaction, name, document.result)
        }
        _ => redaction.result_value(name, document.result),
    };
    if let Some(traceback) = &mut document.traceback {
        redaction.failure(name, traceback);
    }
    document
}

/// Hides in every text of an exception.
fn failure(redaction: &Redaction, name: Option<&str>, value: Value) -> Value {
    match value {
        Value::Str(mut text) => {
            redaction.failure(name, &mut text);
            text.into()
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| failure(redaction, name, item));
            Value::Array(items.collect())
        }
        Value::Map(table) => {
            let entries = table.into_iter();
            let entries = entries.map(|(key, item)| (key, failure(redaction, name, item)));
            redaction.value(Value::Map(entries.collect::<Table>()))
        }
        other => other,
    }
}
