//! The signals that end a task's process.

use std::fmt;

use crate::{result::Exception, value::Value};

/// A signal, as `revoke` and `terminate` name it.
///
/// Numbers are those of Linux on every system: they travel between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(u8);

/// The names of Linux's signals in the order of their numbers, the first being 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The last of the real-time signals.
const LAST: u8 = 64;

impl Signal {
    /// The one that is meant when nobody says.
    pub const TERM: Self = Self(15);
    /// The one that nothing can stop.
    pub const KILL: Self = Self(9);
    /// The one of a terminal's Ctrl-C.
    pub const INT: Self = Self(2);

    /// Makes a signal of its number, 1 to 64.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1..=LAST => Some(Self(number)),
            _ => None,
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Reads a signal as requests carry it: `SIGKILL`, `KILL`, 9 or `9`; null is
    /// [`Signal::TERM`].
    ///
    /// # Errors
    /// The exception that Celery's workers answer for a signal that is none.
    pub fn from_value(value: &Value) -> Result<Self, Exception> {
        let number = |number: i64| {
            let signal = u8::try_from(number).ok().and_then(Self::from_number);
            signal.ok_or_else(|| {
                let text = format!("signal: expected a number from 1 to {LAST}, found {number}");
                Exception::python("ValueError", text)
            })
        };
        match value {
            Value::Null => Ok(Self::TERM),
            Value::Int(found) => number(*found),
            Value::Str(text) => match text.parse() {
                Ok(found) => number(found),
                Err(_) => Self::from_name(text),
            },
            _ => Err(no_name()),
        }
    }

    fn from_name(name: &str) -> Result<Self, Exception> {
        if name.is_empty() || name.chars().any(char::is_lowercase) {
            return Err(no_name());
        }
        let short = name.strip_prefix("SIG").unwrap_or(name);
        let at = match short {
            "IOT" => Some(5),
            "CLD" => Some(16),
            "POLL" => Some(28),
            short => NAMES.iter().position(|known| *known == short),
        };
        at.and_then(|at| u8::try_from(at + 1).ok())
            .map(Self)
            .ok_or_else(|| {
                let text = format!("module 'signal' has no attribute 'SIG{short}'");
                Exception::python("AttributeError", text)
            })
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::TERM
    }
}

/// As `SIGTERM`; real-time signals, which have no names, by their number.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => write!(f, "SIG{name}"),
            None => self.0.fmt(f),
        }
    }
}

fn no_name() -> Exception {
    Exception::python("TypeError", "signal name must be uppercase string.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repr;

    #[test]
    fn names_and_numbers_are_read() {
        for (value, expected) in [
            (Value::Null, Signal::TERM),
            ("SIGKILL".into(), Signal::KILL),
            ("INT".into(), Signal::INT),
            (Value::Int(9), Signal::KILL),
            ("9".into(), Signal::KILL),
            ("SYS".into(), Signal(31)),
            (Value::Int(64), Signal(64)),
        ] {
            assert_eq!(Signal::from_value(&value).unwrap(), expected, "{value:?}");
        }
        assert_eq!(Signal::KILL.to_string(), "SIGKILL");
        assert_eq!(Signal(40).to_string(), "40");
    }

    #[test]
    fn what_is_no_signal_is_told_as_python_tells_it() {
        for (value, error) in [
            (
                "SIGFOO".into(),
                "AttributeError(\"module 'signal' has no attribute 'SIGFOO'\")",
            ),
            (
                "term".into(),
                "TypeError('signal name must be uppercase string.')",
            ),
            (
                Value::Bool(true),
                "TypeError('signal name must be uppercase string.')",
            ),
            (
                Value::Int(0),
                "ValueError('signal: expected a number from 1 to 64, found 0')",
            ),
        ] {
            let found = Signal::from_value(&value).unwrap_err();
            assert_eq!(repr::exception(&found), error);
        }
    }
}
