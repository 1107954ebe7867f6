//! Waiting for what takes its time: the only place in the tests that sleeps.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

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

/// Lets a time pass while something is done, and returns what that returned; the time is
/// what the test is about, such as that of an outage.
///
/// # Panics
///
/// When what is done takes longer.
pub async fn for_as_long_as<T>(time: Duration, work: impl Future<Output = T>) -> T {
    let end = Instant::now() + time;
    let done = within_limit(time, "what is done meanwhile", work).await;
    sleep_until(end).await;
    done
}

/// What a probe says, from change to change. Dropping it ends the looks.
#[derive(Debug)]
pub struct Changes {
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
    task: AbortHandle,
}

impl Changes {
    /// Asks a probe again and again, and keeps each word that is another than the last.
    pub fn follow<F>(probe: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = String> + Send,
    {
        let seen = Arc::<Mutex<Vec<(Instant, String)>>>::default();
        let kept = Arc::clone(&seen);
        let look = async move {
            loop {
                let word = probe().await;
                note(&kept, word);
                sleep(5 * STEP).await;
            }
        };
        let task = tokio::spawn(look).abort_handle();
        Self { seen, task }
    }

    /// Returns each word with the time when it was seen first.
    pub fn all(&self) -> Vec<(Instant, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Returns the words.
    pub fn words(&self) -> Vec<String> {
        self.all().into_iter().map(|(_, word)| word).collect()
    }

    /// Waits until a word is the present one, and returns since when.
    ///
    /// # Panics
    ///
    /// When it is not within the limit.
    pub async fn until(&self, word: &str, limit: Duration) -> Instant {
        let present = || self.all().pop().filter(|(_, last)| last == word);
        let what = format!("\"{word}\"; {:?} so far", self.words());
        let (since, _) = eventually_within(limit, &what, || async { present() }).await;
        since
    }
}

fn note(seen: &Mutex<Vec<(Instant, String)>>, word: String) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.last().is_none_or(|(_, last)| *last != word) {
        seen.push((Instant::now(), word));
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}
