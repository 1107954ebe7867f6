//! The place in the list of dead letters where a page ends.

use crate::http::Problem;
use crate::http::api::page::Cursor;
use crate::letters::Letter;
use crate::store::After;

/// Reads where a page starts.
pub(super) fn after(cursor: Option<&Cursor<String>>) -> Result<Option<After>, Problem> {
    let Some(Cursor(text)) = cursor else {
        return Ok(None);
    };
    let read = text.split_once('/').and_then(|(died_at, id)| {
        Some(After {
            died_at: died_at.parse().ok()?,
            id: id.to_owned(),
        })
    });
    read.map(Some)
        .ok_or_else(|| Problem::field("cursor", "next_cursor of the page before", "another text"))
}

/// Writes where the page after a letter starts.
pub(super) fn cursor(letter: &Letter) -> String {
    Cursor(format!("{}/{}", letter.died_at, letter.id)).text()
}
