//! Arguments of schedules that are not for everybody's eyes.

use celeriac::Entry;
use celeriac_protocol::{Table, Value};

use crate::access::{HIDDEN, Redaction};

/// Returns an entry as it is shown: without what is hidden of its arguments.
pub(in crate::http) fn hidden(redaction: &Redaction, entry: &Entry) -> Entry {
    let mut shown = entry.clone();
    if redaction.hides_arguments_of(Some(&entry.task)) {
        shown
            .args
            .splice(.., (!entry.args.is_empty()).then(|| HIDDEN.into()));
        let word = (!entry.kwargs.is_empty()).then(|| (HIDDEN.to_owned(), HIDDEN.into()));
        shown.kwargs = Table::from_iter(word);
        return shown;
    }
    for value in &mut shown.args {
        *value = redaction.value(std::mem::take(value));
    }
    if let Value::Map(kwargs) = redaction.value(Value::Map(std::mem::take(&mut shown.kwargs))) {
        shown.kwargs = kwargs;
    }
    shown
}

/// Puts back what an editor was not shown, where it comes back as it was shown.
pub(super) fn restore(redaction: &Redaction, entry: &mut Entry, present: &Entry) {
    // Under another task's name they might be shown.
    if entry.task != present.task {
        return;
    }
    let shown = hidden(redaction, present);
    if entry.args == shown.args {
        entry.args.clone_from(&present.args);
    }
    if entry.kwargs == shown.kwargs {
        entry.kwargs.clone_from(&present.kwargs);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry() -> Entry {
        let entry = Entry::crontab("0 3 * * *", "mail.send").unwrap();
        entry.arg(7).kwarg("password", "hunter2").kwarg("to", "ada")
    }

    // S49: what is hidden is not shown with a schedule, and outlives an edit of the rest.
    #[test]
    fn hidden_arguments_are_not_shown_and_outlive_an_edit() {
        for redaction in [
            Redaction::nothing().key("password").unwrap(),
            Redaction::nothing().arguments_of("mail.*").unwrap(),
        ] {
            let mut edited = hidden(&redaction, &entry());
            let text = serde_json::to_string(&edited).unwrap();
            assert!(!text.contains("hunter2"), "{text}");
            edited.description = "new".to_owned();
            restore(&redaction, &mut edited, &entry());
            assert_eq!(edited, entry().description("new"));
            let mut moved = hidden(&redaction, &entry());
            moved.task = "echo".to_owned();
            restore(&redaction, &mut moved, &entry());
            assert_ne!(moved.kwargs, entry().kwargs);
            let mut other = entry().kwarg("password", "changed");
            restore(&redaction, &mut other, &entry());
            assert_eq!(other, entry().kwarg("password", "changed"));
        }
        let bare = Entry::crontab("0 3 * * *", "mail.send").unwrap();
        let redaction = Redaction::nothing().arguments_of("mail.*").unwrap();
        assert_eq!(hidden(&redaction, &bare), bare);
    }
}
