//! What commands print.

use std::fmt::Display;

use serde_json::{Value, json};

/// Says what a command found: in words, or as JSON for programs (`--json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a value: one line of JSON, or the words for it.
    pub(crate) fn show(self, value: &Value, words: impl FnOnce() -> String) {
        if self.json {
            print(&value.to_string());
        } else {
            print(&harmless(words()));
        }
    }

    /// Prints a table: a list of objects with the headings in lower case as names, or columns.
    pub(crate) fn table(self, heading: &[&str], rows: &[Vec<String>]) {
        let object = |row: &Vec<String>| {
            let names = heading.iter().map(|name| name.to_lowercase());
            let cells = row.iter().map(|cell| Value::from(cell.as_str()));
            Value::from(names.zip(cells).collect::<serde_json::Map<_, _>>())
        };
        self.show(&rows.iter().map(object).collect(), || {
            let heading = heading.iter().map(|name| (*name).to_owned()).collect();
            columns(&[vec![heading], rows.to_vec()].concat())
        });
    }

    /// Says on standard error why the command failed.
    pub(crate) fn fail(self, error: &impl Display) {
        if self.json {
            eprintln!("{}", json!({ "error": error.to_string() }));
        } else {
            eprintln!("celeriac: {}", harmless(error.to_string()));
        }
    }
}

/// Prints to standard output, and does not mind that nobody reads it: a closed pipe
/// (`celeriac queues | head -1`) is no failure.
pub(crate) fn print(text: &str) {
    let _ = try_print(text);
}

/// Prints to standard output; false when nobody reads it any more, which ends a stream.
pub(crate) fn try_print(text: &str) -> bool {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .is_ok()
}

/// What tasks say must not steer the terminal of who reads it: `\u{1b}[2J` clears it.
fn harmless(words: String) -> String {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    match words.contains(steers) {
        true => words.replace(steers, "\u{fffd}"),
        false => words,
    }
}

/// Lays rows out in columns, the first row as a heading.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes an object as lines of names and values, without those that are null.
pub(crate) fn described(object: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) if text.contains('\n') => lines.push(format!("{name}:\n{text}")),
            Value::String(text) => lines.push(format!("{name}: {text}")),
            other => lines.push(format!("{name}: {other}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["NAME".to_owned(), "N".to_owned()],
            vec!["é".to_owned(), "12".to_owned()],
        ];
        assert_eq!(columns(&rows), "NAME  N\né     12");
    }

    #[test]
    fn what_tasks_say_does_not_steer_the_terminal() {
        let hostile = "a\u{1b}[2J\r\u{9b}b\n\tc".to_owned();
        assert_eq!(harmless(hostile), "a\u{fffd}[2J\u{fffd}\u{fffd}b\n\tc");
    }
}
