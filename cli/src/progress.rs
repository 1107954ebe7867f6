//! Progress of what takes longer than a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::Output;

/// Progress on standard error, for a person at a terminal and not with `--json`. It appears
/// after a second, so that what is quick leaves no trace, and goes with its value.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: Option<JoinHandle<()>>,
}

/// How long nothing is shown.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

impl Progress {
    /// Shows that something is waited for.
    pub(crate) fn waiting(output: Output, what: &str) -> Self {
        Self::new(output, None, "{spinner} {msg} ({elapsed})", what)
    }

    /// Counts towards a total, as far as one is known.
    pub(crate) fn counting(output: Output, total: Option<u64>, what: &str) -> Self {
        let form = match total {
            Some(_) => "{spinner} {msg} [{wide_bar}] {pos}/{len} ({per_sec}, {eta} left)",
            None => "{spinner} {msg} {pos} ({per_sec}, {elapsed})",
        };
        Self::new(output, total, form, what)
    }

    fn new(output: Output, total: Option<u64>, form: &str, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        let shown = (!output.is_json()).then(|| {
            let bar = bar.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                // Draws nothing where standard error is no terminal.
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            })
        });
        Self { bar, shown }
    }

    pub(crate) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(shown) = self.shown.take() {
            shown.abort();
        }
        self.bar.finish_and_clear();
    }
}
