//! What an operator sets of the processes of isolated tasks.

use std::time::Duration;

use celeriac::{Error, Result};

/// What an operator sets of the processes that run isolated tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// How many are busy at once at most; further tasks wait for one. Default `None`: as
    /// many as tasks run at once. They start when they are needed and stay.
    pub processes: Option<usize>,
    /// After so many tasks a process is replaced. Default never.
    pub max_tasks: Option<u32>,
    /// A process that holds more memory than this after a task is replaced, in bytes.
    /// Default never. Linux only.
    pub recycle_memory: Option<u64>,
    /// A process that holds more memory than this is killed, and its run is lost, in
    /// bytes. It is looked at twenty times a second; what it starts does not count.
    /// Default never. Linux with `/proc` only.
    pub max_memory: Option<u64>,
    /// How long a process may take to start. Default 30 s.
    pub start_within: Duration,
    /// A process that gives no sign of life for so long is killed: it is stopped, or
    /// starves. A task that is merely busy does not hinder the sign, nor does one that
    /// blocks the threads of the node. Default 60 s.
    pub silence: Duration,
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            processes: None,
            max_tasks: None,
            recycle_memory: None,
            max_memory: None,
            start_within: Duration::from_secs(30),
            silence: Duration::from_secs(60),
        }
    }
}

impl Isolation {
    /// Checks what can be checked before a process is needed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first field that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong =
            |what: &str, expected: &str, found: String| Err(Error::invalid(what, expected, found));
        if let Some(processes) = self.processes.filter(|n| !(1..=10_000).contains(n)) {
            return wrong("isolation, processes", "1 to 10000", processes.to_string());
        }
        if self.max_tasks == Some(0) {
            return wrong("isolation, tasks per process", "at least 1", "0".to_owned());
        }
        let memory = [self.recycle_memory, self.max_memory].into_iter().flatten();
        for bytes in memory {
            if !cfg!(target_os = "linux") {
                let found = "another system".to_owned();
                return wrong("isolation, memory per process", "Linux", found);
            }
            if bytes < 1 << 20 {
                let expected = "at least 1 MiB";
                let found = format!("{bytes} bytes");
                return wrong("isolation, memory per process", expected, found);
            }
        }
        for (what, time) in [
            ("isolation, start", self.start_within),
            ("isolation, silence", self.silence),
        ] {
            if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&time) {
                return wrong(what, "1 s to 1 h", format!("{time:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_cannot_work_is_told() {
        let settings = Isolation::default;
        settings().check().unwrap();
        for (bad, text) in [
            (
                Isolation {
                    processes: Some(0),
                    ..settings()
                },
                "isolation, processes: expected 1 to 10000, found 0",
            ),
            (
                Isolation {
                    max_tasks: Some(0),
                    ..settings()
                },
                "isolation, tasks per process: expected at least 1, found 0",
            ),
            (
                Isolation {
                    max_memory: Some(1),
                    ..settings()
                },
                "isolation, memory per process: expected",
            ),
            (
                Isolation {
                    silence: Duration::ZERO,
                    ..settings()
                },
                "isolation, silence: expected 1 s to 1 h, found 0ns",
            ),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.starts_with(text), "{error} lacks {text}");
        }
    }
}
