//! Waiting for what takes its time: the only place in the tests that sleeps.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How often a probe is asked.
const STEP: Duration = Duration::from_millis(20);

/// How long silence has to last to count as "nothing comes".
const SILENCE: Duration = Duration::from_millis(300);

/// Returns how long a test waits for something before it fails:
/// `CELERIAC_TEST_PATIENCE` seconds, 20 unless set.
///
/// # Panics
///
/// When the variable is not a whole number.
pub fn patience() -> Duration {
    match std::env::var("CELERIAC_TEST_PATIENCE") {
        Ok(text) => Duration::from_secs(text.parse().unwrap_or_else(|_| {
            panic!("CELERIAC_TEST_PATIENCE: expected whole seconds, found '{text}'")
        })),
        Err(_) => Duration::from_secs(20),
    }
}

/// Asks a probe again and again until it answers.
///
/// # Panics
///
/// When `limit` passes without an answer; `what` says what was waited for.
pub async fn eventually_within<T, F>(limit: Duration, what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = within_limit(limit, what, probe()).await {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        sleep(STEP).await;
    }
}

/// Asks a probe until it answers, for as long as the [`patience`] says.
///
/// # Panics
///
/// As [`eventually_within`].
pub async fn eventually<T, F>(what: &str, probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    eventually_within(patience(), what, probe).await
}

/// Waits for a future, for as long as the [`patience`] says.
///
/// # Panics
///
/// When it takes longer.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_limit(patience(), what, future).await
}

async fn within_limit<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(limit, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Tells whether a future stays pending for a while.
pub async fn stays_silent<T>(future: impl Future<Output = T>) -> bool {
    timeout(SILENCE, future).await.is_err()
}
