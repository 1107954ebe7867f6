//! The arguments of a call, taken one by one.

use std::collections::VecDeque;

use celeriac::protocol::error::{DecodeError, Fault};
use celeriac::protocol::{Parts, Table, Value};
use celeriac::task::TaskError;
use serde::de::DeserializeOwned;

/// The arguments of a call. Asked for in the order of the parameters, positional ones
/// are taken first, as Python binds them; what nobody asks for is ignored, since newer
/// clients may send more.
pub(super) struct Given {
    task: &'static str,
    args: VecDeque<Value>,
    kwargs: Table,
}

impl Given {
    pub(super) fn read(task: &'static str, parts: Parts<'_>) -> Result<Self, DecodeError> {
        let args = parts.args.into_iter().map(|raw| raw.decode());
        let kwargs = parts.kwargs.into_iter();
        let kwargs = kwargs.map(|(name, raw)| Ok((name.into_owned(), raw.decode()?)));
        Ok(Self {
            task,
            args: args.collect::<Result<_, _>>()?,
            kwargs: kwargs.collect::<Result<_, DecodeError>>()?,
        })
    }

    /// Takes the next argument, which must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, TaskError> {
        self.optional(name)?.ok_or_else(|| {
            self.mismatch(DecodeError::new(
                Fault::Arguments,
                name,
                "a value",
                "nothing",
            ))
        })
    }

    /// Takes the next argument; null counts as absent.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, TaskError> {
        match self.args.pop_front() {
            Some(value) => self.convert(name, value),
            None => self.named(name),
        }
    }

    /// Takes an argument that is given by name only.
    pub(super) fn named<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, TaskError> {
        let value = self.kwargs.remove(name).unwrap_or_default();
        self.convert(name, value)
    }

    /// Takes the positional arguments that are left.
    pub(super) fn rest(self) -> Vec<Value> {
        self.args.into()
    }

    fn convert<T: DeserializeOwned>(
        &self,
        name: &str,
        value: Value,
    ) -> Result<Option<T>, TaskError> {
        if value.is_null() {
            return Ok(None);
        }
        let value = value
            .to()
            .map_err(|error| self.mismatch(error.within(name)))?;
        Ok(Some(value))
    }

    fn mismatch(&self, error: DecodeError) -> TaskError {
        let error = error.within(self.task);
        TaskError::python("TypeError", error.to_string()).permanent()
    }
}
