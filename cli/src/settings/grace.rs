//! How long whoever started this process waits for its end.

use std::time::Duration;

use super::Settings;
use crate::error::Error;

/// The setting.
const NAME: &str = "termination_grace_period";

/// What is left of the grace period for what comes after the drain deadline, at most.
const MARGIN: Duration = Duration::from_secs(5);

/// How long whoever started this process waits between SIGTERM and SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grace(Duration);

impl Grace {
    /// Reads it; `None` when nobody says.
    ///
    /// # Errors
    ///
    /// When it is no time, or none in which anything could end.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Self>, Error> {
        let least = Duration::from_secs(1);
        let read = |text: &str| match crate::units::parse_duration(text)? {
            grace if grace >= least => Ok(Self(grace)),
            _ => Err(format!("expected 1s or more, found {text:?}")),
        };
        settings.with(NAME, read)
    }

    /// Returns what is left for what comes after the drain deadline: 5 s, or a fifth of a
    /// period that is shorter than 25 s.
    pub(crate) fn margin(self) -> Duration {
        MARGIN.min(self.0 / 5)
    }

    /// Returns the drain deadline, or how long all else may take, that leaves the margin.
    pub(crate) fn deadline(self) -> Duration {
        self.0 - self.margin()
    }

    /// Checks a drain deadline that is given besides.
    ///
    /// # Errors
    ///
    /// When SIGKILL would come before the node has ended.
    pub(crate) fn allows(self, deadline: Duration) -> Result<Duration, String> {
        if deadline <= self.deadline() {
            return Ok(deadline);
        }
        Err(format!(
            "expected at most {:?}, which leaves {:?} of the {NAME} of {:?} to give back what still \
             runs, found {deadline:?}; without a drain_deadline it follows from the grace period",
            self.deadline(),
            self.margin(),
            self.0
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // S51: the drain deadline follows from the grace period, and is checked against it.
    #[test]
    fn a_margin_is_left() {
        for (grace, deadline) in [(60, 55), (30, 25), (25, 20), (10, 8), (5, 4)] {
            let grace = Grace(seconds(grace));
            assert_eq!(grace.deadline(), seconds(deadline), "{grace:?}");
            assert_eq!(grace.allows(seconds(deadline)), Ok(seconds(deadline)));
            assert!(grace.allows(seconds(deadline + 1)).is_err());
        }
        let told = Grace(seconds(30)).allows(seconds(30)).unwrap_err();
        assert!(
            told.starts_with(
                "expected at most 25s, which leaves 5s of the termination_grace_period of 30s"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_period_in_which_nothing_can_end_is_refused() {
        for text in ["0", "500ms", "-1s", "soon"] {
            let layer = Layer {
                termination_grace_period: Some(text.into()),
                ..Layer::default()
            };
            let settings = Settings::of_flags(&layer);
            let error = Grace::read(&settings).unwrap_err().to_string();
            assert!(error.contains(NAME), "{error}");
        }
    }
}
