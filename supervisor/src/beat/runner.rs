//! The loop of the beat: follows a leader, or leads.

mod lead;
mod store;
mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use celeriac::App;
use celeriac::health::Pulse;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use self::lead::Lead;
use self::turn::Turn;
use super::actor::Station;
use super::book::{Book, Now, Sent};
use super::desk::View;
use super::job::{self, Done, Job};
use super::news::{Leader, News};
use super::plan;
use crate::board::Board;
use crate::feed::Change;
use crate::leader::Elected;
use crate::store::StoreError;

/// The loop of the beat.
///
/// ```text
///  Follows --elected--> Leads, unclaimed --term in the store--> Leads, claimed
///     ^                     |   | the store is out of reach: a term of its own,     |
///     |                     |   | claimed again each second                         |
///     +---- lock lost, or a later term in the store or in the news -----------------+
/// ```
///
/// It decides and never waits: whatever takes time is a [`Job`], whose outcome comes back.
pub(super) struct Runner {
    app: App,
    board: Arc<Board>,
    pulse: Pulse,
    station: Station,
    book: Book,
    lead: Option<Lead>,
    jobs: FuturesUnordered<Job>,
    /// The greatest term that was heard of.
    seen: u64,
    leader: Option<(Leader, Instant)>,
    store: Option<String>,
    revision: Option<i64>,
    /// The store's marks are known.
    loaded: bool,
    stand: Turn,
    read: Turn,
    write: Turn,
    /// Why nobody can be elected.
    vote: Option<String>,
    trouble: Option<String>,
    shown: Option<Instant>,
}

/// How often the store is looked at, and a failed look is tried again.
const POLL: Duration = Duration::from_secs(1);
/// How often a leader tells that it leads.
const TELL: Duration = Duration::from_secs(2);
/// How long a leader that lets go may take to note what it has sent.
const NOTE: Duration = Duration::from_millis(500);
/// How often the others are shown what changed, at most.
const SHOW: Duration = Duration::from_millis(50);

impl Runner {
    pub(super) fn new(app: App, board: Arc<Board>, station: Station) -> Self {
        let now = Instant::now();
        let mut book = Book::default();
        let plan = plan::merge(app.schedules(), Vec::new());
        book.plan(plan, celeriac::clock::now());
        Self {
            pulse: board.progress.keep("beat"),
            app,
            board,
            station,
            book,
            lead: None,
            jobs: FuturesUnordered::new(),
            seen: 0,
            leader: None,
            store: None,
            revision: None,
            loaded: false,
            stand: Turn::at(now),
            read: Turn::at(now),
            write: Turn::at(now),
            vote: None,
            trouble: None,
            shown: None,
        }
    }

    /// Runs for ever; leads no more once the process ends.
    pub(super) async fn run(mut self) {
        let board = Arc::clone(&self.board);
        tokio::select! {
            biased;
            () = board.beat.retiring() => {}
            () = self.follow_or_lead() => {}
        }
        self.retire().await;
        board.beat.set_retired();
        let pulse = self.pulse.clone();
        drop(self);
        pulse.during(std::future::pending()).await
    }

    /// Notes the ticks that are on their way, so that the next leader need not send them
    /// again, and lets go of the lock.
    async fn retire(&mut self) {
        let note = async {
            while let Some(done) = self.jobs.next().await {
                self.done(done);
            }
            let Some(lead) = self.lead.as_ref().filter(|lead| lead.claimed) else {
                return;
            };
            let dirty = self.book.take_dirty();
            if !dirty.is_empty() {
                job::write(&self.board.store, Some(lead.term), dirty).await;
            }
        };
        let _ = tokio::time::timeout(NOTE, note).await;
        self.stand_down("the process ends");
        // Each that sends holds the lock too.
        self.jobs.clear();
        self.show(now());
    }

    async fn follow_or_lead(&mut self) {
        loop {
            self.pulse.beat();
            for news in self.board.beat.take() {
                self.hear(news);
            }
            let now = now();
            self.begin(now);
            self.show(now);
            let idle = self.book.idle(now, POLL).min(self.pause(now.steady));
            let lock = self.lead.as_ref().map(|lead| Arc::clone(&lead.lock));
            let lost = async {
                match lock {
                    Some(lock) => lock.lost().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.jobs.next() => self.done(done),
                () = lost => self.stand_down("the lock was lost"),
                () = self.board.beat.woken() => self.read.again = now.steady,
                () = tokio::time::sleep(idle.max(Duration::from_millis(1))) => {}
            }
        }
    }

    /// Returns how long nothing but ticks has to be begun.
    fn pause(&self, now: Instant) -> Duration {
        let mut tasks = vec![self.read];
        match &self.lead {
            Some(lead) => tasks.extend([lead.tell, lead.claim]),
            None => tasks.push(self.stand),
        }
        let waits = tasks.into_iter().filter(|task| !task.runs);
        let wait = waits.map(|task| task.again.saturating_duration_since(now));
        let next = wait.filter(|wait| !wait.is_zero()).min().unwrap_or(POLL);
        let shown = self
            .shown
            .map_or(SHOW, |shown| (shown + SHOW).saturating_duration_since(now));
        if shown.is_zero() {
            next
        } else {
            next.min(shown)
        }
    }

    /// Begins what there is to do.
    fn begin(&mut self, now: Now) {
        let store = &self.board.store;
        if self.read.begin(now.steady) {
            self.jobs
                .push(job::read(store, self.revision, self.lead.is_none()));
        }
        if self.lead.as_ref().is_some_and(|lead| !lead.lock.is_held()) {
            self.stand_down("the lock was lost");
        }
        let Some(lead) = &mut self.lead else {
            if self.stand.begin(now.steady) {
                self.jobs.push(job::stand(&self.station.election));
            }
            return;
        };
        let store = &self.board.store;
        if !lead.claimed && lead.claim.begin(now.steady) {
            let holder = lead.holder.clone();
            self.jobs
                .push(job::claim(store, holder, lead.term, now.wall));
        }
        if !lead.asked || !self.loaded {
            return;
        }
        for (entry, ticks) in self.book.due(now) {
            self.jobs
                .push(job::send(&self.app, &lead.lock, lead.term, entry, ticks));
        }
        if lead.claimed && self.write.begin(now.steady) {
            let dirty = self.book.take_dirty();
            if dirty.is_empty() {
                self.write.over(now.steady, Duration::ZERO);
            } else {
                self.jobs.push(job::write(store, Some(lead.term), dirty));
            }
        }
        if lead.tell.begin(now.steady) {
            let leader = lead.leader(&self.station, self.store.clone());
            self.leader = Some((leader.clone(), now.steady));
            lead.tell.over(now.steady, TELL);
            self.tell(News::Leads(leader));
        }
    }

    fn tell(&self, news: News) {
        let (app, name) = (self.app.clone(), self.station.name.clone());
        self.jobs.push(Box::pin(async move {
            news.tell(&app, &name).await;
            Done::Told
        }));
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Leads(leader) if leader.name == self.station.name => {}
            News::Leads(leader) => {
                self.seen = self.seen.max(leader.term);
                if self
                    .lead
                    .as_ref()
                    .is_some_and(|lead| lead.term < leader.term)
                {
                    self.stand_down("another one leads in a later term");
                }
                if self.lead.is_none() {
                    self.leader = Some((leader, Instant::now()));
                }
            }
            News::Sent(name, sent) => {
                self.seen = self.seen.max(sent.term);
                self.book.hear(&name, sent);
            }
        }
    }

    fn done(&mut self, done: Done) {
        let now = now();
        match done {
            Done::Stood(stood) => {
                self.stand.over(now.steady, jitter());
                match stood {
                    Ok(Some(elected)) => self.stand_up(elected, now),
                    Ok(None) => self.vote = None,
                    Err(reason) => self.vote = Some(reason),
                }
            }
            Done::Claimed(claimed) => self.claimed(claimed, now),
            Done::Read(read) => {
                self.read.over(now.steady, POLL);
                match read {
                    Ok(reading) => self.learn(reading, now),
                    Err(error) => self.store_failed(&error),
                }
            }
            Done::Wrote(names, written) => {
                let wait = if written.is_ok() {
                    Duration::ZERO
                } else {
                    POLL
                };
                self.write.over(now.steady, wait);
                if let Err(error) = written {
                    self.book.still_dirty(&names);
                    match error {
                        StoreError::Unmet(_) if self.lead.is_some() => {
                            self.stand_down("the store has a later term");
                        }
                        error => self.store_failed(&error),
                    }
                }
            }
            Done::Sent {
                name,
                sent,
                failure,
            } => self.sent(&name, sent, failure, now),
            Done::Told => {}
        }
    }

    fn stand_up(&mut self, Elected { lock, least }: Elected, now: Now) {
        // Later than every term that was heard of, and than any that was not: a store that
        // others do not share cannot tell.
        let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or_default();
        let term = millis.max(self.seen + 1).max(least);
        tracing::info!(name = self.station.name, term, "this supervisor leads");
        (self.vote, self.trouble) = (None, None);
        self.lead = Some(Lead::new(lock, &self.station, term, now));
    }

    fn stand_down(&mut self, why: &str) {
        if let Some(lead) = self.lead.take() {
            tracing::warn!(
                name = self.station.name,
                term = lead.term,
                why,
                "this supervisor leads no more"
            );
            self.seen = self.seen.max(lead.term);
            self.stand.over(Instant::now(), jitter());
            self.leader = None;
        }
    }

    fn sent(&mut self, name: &str, sent: Vec<Sent>, failure: Option<String>, now: Now) {
        if let Some(reason) = &failure {
            tracing::warn!(schedule = name, reason, "a tick could not be sent");
            self.board.metrics.beat.failed.inc();
        }
        for one in sent {
            let late = one.at.duration_since(one.tick).unwrap_or_default();
            self.board.metrics.beat.sent.inc();
            self.board.metrics.beat.delay.observe(late.as_secs_f64());
            self.tell(News::Sent(name.to_owned(), one.clone()));
            self.book.sent(name, one);
            self.board.feed.publish(Change::Schedule {
                name: name.to_owned(),
                what: "sent",
            });
        }
        self.book.over(name, failure, now.steady);
    }

    /// Shows the others what changed.
    fn show(&mut self, now: Now) {
        if self.shown.is_some_and(|shown| now.steady < shown + SHOW) {
            return;
        }
        self.shown = Some(now.steady);
        let leads = self.lead.is_some();
        let lag = if leads {
            self.book.lag(now.wall)
        } else {
            Duration::ZERO
        };
        let metrics = &self.board.metrics.beat;
        metrics.leads.set(i64::from(leads));
        metrics.lag.set(lag.as_secs_f64());
        self.board.beat.show(View {
            me: self.station.name.clone(),
            election: self.station.election.kind(),
            leads,
            leader: self.leader.clone(),
            store: self.store.clone(),
            trouble: self.vote.clone().or_else(|| self.trouble.clone()),
            lines: self.book.lines().cloned().collect(),
        });
    }
}

fn now() -> Now {
    Now {
        wall: celeriac::clock::now(),
        steady: Instant::now(),
    }
}

/// Returns how long to wait before standing again: about a second, and not in step with
/// others.
fn jitter() -> Duration {
    Duration::from_millis(600 + u64::from(Uuid::new_v4().as_bytes()[0]) * 400 / 255)
}
