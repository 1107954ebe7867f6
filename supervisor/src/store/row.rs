//! One row of an answer.

use super::error::StoreError;
use super::statement::Cell;

/// One row of an answer; its values are taken by place, from 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row(pub(super) Vec<Cell>);

impl Row {
    /// Returns a number.
    ///
    /// # Errors
    ///
    /// Each getter fails with [`StoreError::Refused`] when the row has another type there:
    /// the store was changed by other hands.
    pub(crate) fn integer(&self, at: usize) -> Result<i64, StoreError> {
        self.maybe_integer(at)?
            .ok_or_else(|| self.wrong(at, "a number"))
    }

    /// Returns a number, or nothing.
    pub(crate) fn maybe_integer(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(at) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Integer(number)) => Ok(Some(*number)),
            _ => Err(self.wrong(at, "a number")),
        }
    }

    /// Returns a number with a fraction, or nothing.
    pub(crate) fn maybe_real(&self, at: usize) -> Result<Option<f64>, StoreError> {
        match self.0.get(at) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Real(number)) => Ok(Some(*number)),
            // SQLite stores 3.0 in a column without a type as 3.
            Some(Cell::Integer(number)) => Ok(Some(*number as f64)),
            _ => Err(self.wrong(at, "a number")),
        }
    }

    /// Returns a text.
    pub(crate) fn text(&self, at: usize) -> Result<String, StoreError> {
        self.maybe_text(at)?.ok_or_else(|| self.wrong(at, "a text"))
    }

    /// Returns a text, or nothing.
    pub(crate) fn maybe_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        match self.0.get(at) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text(text)) => Ok(Some(text.clone())),
            _ => Err(self.wrong(at, "a text")),
        }
    }

    /// Returns bytes, or nothing.
    pub(crate) fn maybe_bytes(&self, at: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.get(at) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Bytes(bytes)) => Ok(Some(bytes.clone())),
            _ => Err(self.wrong(at, "bytes")),
        }
    }

    fn wrong(&self, at: usize, expected: &str) -> StoreError {
        let found = match self.0.get(at) {
            None => "no such column",
            Some(Cell::Null) => "nothing",
            Some(Cell::Integer(_) | Cell::Real(_)) => "a number",
            Some(Cell::Text(_)) => "a text",
            Some(Cell::Bytes(_)) => "bytes",
        };
        StoreError::Refused(format!("column {at}: expected {expected}, found {found}"))
    }
}
