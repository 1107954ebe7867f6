//! What is hidden of tasks before anybody sees it, and before it is kept.

mod pattern;
mod prose;
mod text;
mod value;

use self::pattern::{Glob, Key};
use crate::cluster::Fact;

/// What is hidden of tasks: the values of telling keywords, all arguments of some tasks,
/// the results of some.
///
/// It is applied before anything is kept, and shown as `**`. A message itself is never
/// changed: what is replayed has its true arguments.
#[derive(Debug, Clone)]
pub struct Redaction {
    keys: Vec<Key>,
    /// Whose arguments are hidden wholly.
    arguments: Vec<Glob>,
    /// Whose results, exceptions and tracebacks are hidden wholly.
    results: Vec<Glob>,
}

/// What is shown in place of what is hidden.
pub(crate) const HIDDEN: &str = "**";

/// Keywords whose values nobody means to show. A hyphen counts as an underscore.
const TELLING: [&str; 10] = [
    "*password*",
    "*passwd*",
    "pwd",
    "*secret*",
    "*token",
    "*api_key",
    "*apikey",
    "*private_key",
    "*authorization",
    "*credentials",
];

impl Default for Redaction {
    /// Hides the values of keywords such as `password`, `client_secret`, `access_token`,
    /// `api-key` and `Authorization`.
    fn default() -> Self {
        let keys = TELLING.into_iter().filter_map(|text| Key::new(text).ok());
        Self {
            keys: keys.collect(),
            ..Self::nothing()
        }
    }
}

impl Redaction {
    /// Hides nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            keys: Vec::new(),
            arguments: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Hides the values of keywords that match: `iban`, `*_pin`, or `card.number` for a
    /// `number` right inside of a `card`. Letters match in either case, a hyphen as an
    /// underscore.
    ///
    /// # Errors
    ///
    /// When the pattern, or a part of it between dots, is empty or too long.
    pub fn key(mut self, pattern: &str) -> Result<Self, String> {
        self.keys.push(Key::new(pattern)?);
        Ok(self)
    }

    /// Hides all arguments of the tasks whose names match, such as `billing.*`.
    ///
    /// # Errors
    ///
    /// When the pattern is empty or too long.
    pub fn arguments_of(mut self, pattern: &str) -> Result<Self, String> {
        self.arguments.push(Glob::new(pattern)?);
        Ok(self)
    }

    /// Hides results, exceptions and tracebacks of the tasks whose names match.
    ///
    /// # Errors
    ///
    /// When the pattern is empty or too long.
    pub fn results_of(mut self, pattern: &str) -> Result<Self, String> {
        self.results.push(Glob::new(pattern)?);
        Ok(self)
    }

    /// Hides in arguments, which are a text as Python or JSON would write them.
    pub(crate) fn arguments(&self, task: Option<&str>, text: &mut String) {
        if named(&self.arguments, task) {
            *text = HIDDEN.to_owned();
        } else if let Some(redacted) = self.in_text(text) {
            *text = redacted;
        }
    }

    /// Hides in a result, which is a text as Python or JSON would write it.
    pub(crate) fn result(&self, task: Option<&str>, text: &mut String) {
        if self.hides_result_of(task) {
            *text = HIDDEN.to_owned();
        } else if let Some(redacted) = self.in_text(text) {
            *text = redacted;
        }
    }

    /// Hides in an exception or a traceback, which are prose with values in between.
    pub(crate) fn failure(&self, task: Option<&str>, text: &mut String) {
        if self.hides_result_of(task) {
            *text = HIDDEN.to_owned();
        } else if let Some(redacted) = prose::redact(&self.keys, text) {
            *text = redacted;
        }
    }

    /// Says whether results of this task are hidden wholly.
    pub(crate) fn hides_result_of(&self, task: Option<&str>) -> bool {
        named(&self.results, task)
    }

    /// Says whether arguments of this task are hidden wholly.
    pub(crate) fn hides_arguments_of(&self, task: Option<&str>) -> bool {
        named(&self.arguments, task)
    }

    /// Says whether results are hidden by the name of their task.
    pub(crate) fn names_results(&self) -> bool {
        !self.results.is_empty()
    }

    /// Hides in what an event says of a task.
    pub(crate) fn fact(&self, task: Option<&str>, fact: &mut Fact) {
        match fact {
            Fact::Sent(call, _) | Fact::Received(call) => {
                let name = call.name.clone();
                let texts = [&mut call.args, &mut call.kwargs];
                for text in texts.into_iter().flatten() {
                    self.arguments(name.as_deref(), text);
                }
            }
            Fact::Succeeded { result, .. } => {
                result.iter_mut().for_each(|text| self.result(task, text));
            }
            Fact::Failed {
                exception,
                traceback,
            }
            | Fact::Retried {
                exception,
                traceback,
            } => {
                let texts = exception.iter_mut().chain(traceback);
                texts.for_each(|text| self.failure(task, text));
            }
            Fact::Started | Fact::Revoked { .. } | Fact::Rejected | Fact::Custom(_) => {}
        }
    }

    fn in_text(&self, text: &str) -> Option<String> {
        if !self.may_tell(text) {
            return None;
        }
        Some(text::redact(&self.keys, text).unwrap_or_else(|_| HIDDEN.to_owned()))
    }

    /// Says whether a pattern could match somewhere in the text. Most texts end here.
    fn may_tell(&self, text: &str) -> bool {
        self.keys.iter().any(|key| key.may_be_in(text))
    }
}

/// A task whose name is not known may be any.
fn named(patterns: &[Glob], task: Option<&str>) -> bool {
    match task {
        Some(task) => patterns.iter().any(|pattern| pattern.matches(task)),
        None => !patterns.is_empty(),
    }
}

#[cfg(test)]
mod tests;
