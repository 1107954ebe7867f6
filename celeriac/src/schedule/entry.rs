//! Entries: what runs, when, and how.

mod options;

use std::fmt;
use std::time::{Duration, SystemTime};

use celeriac_protocol::{Table, Value, naming};

pub use self::options::Options;
use super::{Misfire, Schedule, SunEvent, span, tick};
use crate::call::Call;
use crate::error::{Error, Result};

/// The longest jitter.
const MOST_JITTER: Duration = Duration::from_secs(86_400);
/// The longest name, in bytes.
const LONGEST_NAME: usize = 200;

/// One line of the plan: a task, its arguments, and when to send it.
///
/// In TOML and JSON it is a table of its fields with those of its [`Schedule`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use celeriac::{App, Entry};
/// use celeriac::schedule::Misfire;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> celeriac::Result<()> {
/// let app = App::builder("shop")
///     .schedule(Entry::every(Duration::from_secs(30), "stock.count")?.args([7]))
///     .schedule(
///         Entry::crontab("30 3 * * mon-fri", "reports.nightly")?
///             .named("reports")
///             .zone("Europe/Berlin")?
///             .queue("slow")
///             .misfire(Misfire::Once)
///             .deadline(Duration::from_secs(3600)),
///     )
///     .build()?;
/// assert_eq!(app.schedules().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an entry does nothing until an app or a supervisor has it"]
pub struct Entry {
    /// How it is called; unique among the entries of a cluster.
    pub name: String,
    /// When its ticks are.
    pub schedule: Schedule,
    /// The name of the task.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Table,
    /// How the task is sent.
    pub options: Options,
    /// Each tick is sent this much later at most, by a delay that is the same whoever sends
    /// it. Default none.
    pub jitter: Duration,
    /// What happens to ticks that nobody was there to send. Default the last one is sent.
    pub misfire: Misfire,
    /// Ticks that are older than this are never sent: Celery's `beat_cron_starting_deadline`,
    /// for one entry. Default they are never too old.
    pub deadline: Option<Duration>,
    /// Whether it is sent at all. Default true.
    pub enabled: bool,
    /// What people should know of it.
    pub description: String,
}

impl Entry {
    /// Makes an entry that is named like its task.
    pub fn new(schedule: Schedule, task: impl Into<String>) -> Self {
        let task = task.into();
        Self {
            name: task.clone(),
            schedule,
            task,
            args: Vec::new(),
            kwargs: Table::default(),
            options: Options::default(),
            jitter: Duration::ZERO,
            misfire: Misfire::default(),
            deadline: None,
            enabled: true,
            description: String::new(),
        }
    }

    /// Makes an entry that runs again and again after `every`.
    ///
    /// # Errors
    ///
    /// See [`Schedule::every`].
    pub fn every(every: Duration, task: impl Into<String>) -> Result<Self> {
        Ok(Self::new(Schedule::every(every)?, task))
    }

    /// Makes an entry that runs by a cron line.
    ///
    /// # Errors
    ///
    /// See [`Schedule::crontab`].
    pub fn crontab(line: &str, task: impl Into<String>) -> Result<Self> {
        Ok(Self::new(Schedule::crontab(line)?, task))
    }

    /// Makes an entry that runs by the sun over a place, in degrees north and east.
    ///
    /// # Errors
    ///
    /// See [`Schedule::solar`].
    pub fn solar(
        event: SunEvent,
        latitude: f64,
        longitude: f64,
        task: impl Into<String>,
    ) -> Result<Self> {
        let schedule = Schedule::solar(event, latitude, longitude)?;
        Ok(Self::new(schedule, task))
    }

    /// Makes an entry that runs one time.
    ///
    /// # Errors
    ///
    /// See [`Schedule::once`].
    pub fn once(at: &str, task: impl Into<String>) -> Result<Self> {
        Ok(Self::new(Schedule::once(at)?, task))
    }

    /// Sets the name. Default the task's.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Adds positional arguments.
    pub fn args<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.args.extend(values.into_iter().map(Into::into));
        self
    }

    /// Adds one positional argument.
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Sets keyword arguments.
    pub fn kwargs(mut self, values: Table) -> Self {
        for (name, value) in values {
            self.kwargs.insert(name, value);
        }
        self
    }

    /// Sets one keyword argument.
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name, value);
        self
    }

    /// Sets all options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sends it to a queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.options.queue = Some(name.into());
        self
    }

    /// Sets its priority, 0 to 255.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Drops the task when it has not started this long after it was sent.
    pub fn expires(mut self, after: Duration) -> Self {
        self.options.expires = Some(after);
        self
    }

    /// Reads its civil times in a time zone. Default UTC.
    ///
    /// # Errors
    ///
    /// When there is no such zone, or the schedule has no civil times.
    pub fn zone(mut self, name: &str) -> Result<Self> {
        self.schedule = self.schedule.in_zone(&name.parse()?)?;
        Ok(self)
    }

    /// Sends each tick up to so much later, so that not all entries of a minute come at once.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// Sets what happens to ticks that nobody was there to send.
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.misfire = misfire;
        self
    }

    /// Sets how old a tick may be that is still sent.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Keeps it in the plan without sending it.
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Says what people should know of it.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Checks what the types cannot: names and bounds.
    ///
    /// # Errors
    ///
    /// Names the field, what was expected and what was found.
    pub fn check(&self) -> Result<()> {
        let nameable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !nameable(&self.task) {
            let found = format!("{:?}", self.task);
            return Err(Error::invalid("task", "the name of a task", found));
        }
        if !nameable(&self.name) || self.name.len() > LONGEST_NAME || self.name.trim() != self.name
        {
            return Err(Error::invalid(
                "name",
                "1 to 200 bytes without control characters, or spaces at the ends",
                format!("{:?}", self.name),
            ));
        }
        let most = match &self.schedule {
            Schedule::Interval(interval) => interval.every().min(MOST_JITTER),
            _ => MOST_JITTER,
        };
        if self.jitter > most {
            return Err(Error::invalid(
                "jitter",
                format!("{} at most: the interval, or a day", span::text(most)),
                span::text(self.jitter),
            ));
        }
        if let Misfire::All { most } = self.misfire
            && !(1..=Misfire::MOST).contains(&most)
        {
            return Err(Error::invalid(
                "misfire",
                "all(1) to all(1000)",
                format!("all({most})"),
            ));
        }
        if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(Error::invalid("deadline", "more than 0s", "0s"));
        }
        self.options.check()
    }

    /// Returns when a tick is sent: at the tick, or later by the jitter. Whoever asks gets the
    /// same answer.
    pub fn jittered(&self, tick: SystemTime) -> SystemTime {
        tick + tick::jitter(&self.name, tick, self.jitter)
    }

    /// Returns the call that it sends, without an id.
    pub fn call(&self) -> Call<Value> {
        let call = Call::new(&self.task)
            .args(self.args.iter().cloned())
            .kwargs(self.kwargs.clone());
        self.options.apply(call)
    }

    /// Returns the call of a tick: with the tick's task id and, in the header `celeriac-tick`,
    /// its name.
    pub fn call_at(&self, tick: SystemTime) -> Call<Value> {
        self.call()
            .id(tick::tick_id(&self.name, tick).to_string())
            .header(naming::header::TICK, tick::tick_name(&self.name, tick))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, self.task, self.schedule)
    }
}

#[cfg(test)]
mod tests;
