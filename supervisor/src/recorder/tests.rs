#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::cluster::{Call, Fact, Said};
use crate::store::{Place, TaskSearch};

/// A file of its own, removed at the end.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        let name = format!("celeriac-recorder-{}.db", uuid::Uuid::new_v4());
        Self(std::env::temp_dir().join(name))
    }

    fn place(&self) -> Place {
        Place::Sqlite(self.0.clone())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let mut path = self.0.clone().into_os_string();
            path.push(end);
            // It may be gone, or was never made.
            let _ = std::fs::remove_file(path);
        }
    }
}

const LIMITS: Limits = Limits {
    age: Duration::from_secs(86_400),
    tasks: 1_000_000,
};

/// What the Backend actor does with an event.
fn hear(recorder: &Recorder, history: &History, id: &str, at: u64, fact: Fact) {
    let (id, said) = (
        Arc::from(id),
        Said {
            at: at as f64,
            clock: at,
        },
    );
    let mut evicted = None;
    let moved = history.merge(&id, said, &"w1".into(), fact, &mut evicted);
    recorder.note(&id, moved.as_ref(), evicted, celeriac::clock::now());
}

fn live(recorder: &Recorder, history: &History, id: &str) {
    let call = Call {
        name: Some("add".into()),
        args: Some("(2, 3)".into()),
        ..Call::default()
    };
    hear(recorder, history, id, 1, Fact::Received(call));
    hear(recorder, history, id, 2, Fact::Started);
    let result = Some("5".to_owned());
    hear(
        recorder,
        history,
        id,
        3,
        Fact::Succeeded {
            result,
            runtime: Some(0.1),
        },
    );
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 s"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(20)
}

// S35: a restart keeps everything, also what the cache had to let go before it was written.
#[tokio::test]
async fn a_restart_keeps_everything() {
    let file = File::new();
    let (recorder, history) = (Recorder::new(), History::new(10));
    let store = Store::open(&file.place()).await.unwrap();
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    for n in 0..3_000 {
        live(&recorder, &history, &format!("t{n}"));
    }
    assert!(recording.stop(soon()).await);
    store.close().await;
    let figures = recorder.figures();
    assert_eq!((figures.waiting, figures.dropped, figures.lost), (0, 0, 0));

    let store = Store::open(&file.place()).await.unwrap();
    assert_eq!(store.tasks().count().await, Ok(3_000));
    let first = store.tasks().get("t0").await.unwrap().unwrap();
    assert_eq!(
        (first.state.as_str(), first.args.as_deref()),
        ("SUCCESS", Some("(2, 3)"))
    );
    let newest = TaskSearch {
        limit: 1,
        ..TaskSearch::default()
    };
    assert_eq!(
        store.tasks().search(&newest).await.unwrap().tasks[0].id,
        "t2999"
    );
    // The figures are counted whether or not tasks are kept.
    let now = micros(celeriac::clock::now());
    let span = crate::store::Span {
        from: now - crate::store::HOUR,
        to: now + 1,
    };
    let counts = store.series().counts(span).await.unwrap();
    assert_eq!(
        (counts["add"]["RECEIVED"], counts["add"]["SUCCESS"]),
        (3_000, 3_000)
    );
}

// S36: while the file is read-only tasks wait; what finds no room is counted; and all that
// waited is written once it may be.
#[cfg(unix)]
#[tokio::test]
async fn a_store_that_is_read_only_for_a_while_loses_no_final_state() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    let writable = |mode| {
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let (recorder, history) = (Recorder::new(), History::new(100));
    let store = Store::open(&file.place()).await.unwrap();
    writable(0o400);
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    for n in 0..30_000 {
        hear(&recorder, &history, &format!("open{n}"), 1, Fact::Started);
    }
    eventually("the trouble is known", async || store.trouble().is_some()).await;
    let waiting = recorder.figures();
    assert!(waiting.dropped > 0 && waiting.lost == 0, "{waiting:?}");
    for n in 0..1_000 {
        live(&recorder, &history, &format!("done{n}"));
    }
    assert!(store.tasks().count().await.is_ok());
    writable(0o600);
    eventually("everything is written", async || {
        recorder.figures().waiting == 0
    })
    .await;
    assert!(recording.stop(soon()).await);
    assert_eq!(store.trouble(), None);
    let done = TaskSearch {
        states: vec!["SUCCESS".into()],
        limit: 2_000,
        ..TaskSearch::default()
    };
    assert_eq!(
        store.tasks().search(&done).await.unwrap().tasks.len(),
        1_000
    );
    let figures = recorder.figures();
    let kept = store.tasks().count().await.unwrap();
    // A task may be left out in more than one state.
    assert!(
        kept + figures.dropped >= 31_000 && figures.lost == 0,
        "{kept}, {figures:?}"
    );
}

// S35: limits of no tasks turn the history off, and forget what there is.
#[tokio::test]
async fn without_a_history_nothing_is_written() {
    let store = Store::open(&Place::Memory).await.unwrap();
    let (recorder, history) = (Recorder::new(), History::new(100));
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    live(&recorder, &history, "before");
    assert!(recording.stop(soon()).await);
    assert_eq!(store.tasks().count().await, Ok(1));

    let off = Limits { tasks: 0, ..LIMITS };
    let (recorder, history) = (Recorder::new(), History::new(100));
    let recording = recorder.start(&store, &history, off, "here:1".into(), Pulse::default());
    assert!(recorder.is_off());
    live(&recorder, &history, "after");
    eventually("what there was is forgotten", async || {
        store.tasks().count().await == Ok(0)
    })
    .await;
    assert!(recording.stop(soon()).await);
    assert_eq!(recorder.figures(), Recorded::default());
    assert_eq!(history.len(), 1);
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_store_that_is_gone() {
    let file = File::new();
    let (recorder, history) = (Recorder::new(), History::new(100));
    let store = Store::open(&file.place()).await.unwrap();
    std::fs::remove_file(&file.0).unwrap();
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    live(&recorder, &history, "a");
    let start = Instant::now();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(400);
    assert!(!recording.stop(deadline).await);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_too_old_or_too_much_goes_oldest_first() {
    let file = File::new();
    let (recorder, history) = (Recorder::new(), History::new(10_000));
    let store = Store::open(&file.place()).await.unwrap();
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    for n in 0..2_500 {
        live(&recorder, &history, &format!("t{n}"));
    }
    assert!(recording.stop(soon()).await);
    let pages = async || {
        let read = store.read(crate::store::Statement::new("PRAGMA page_count"));
        read.await.unwrap()[0].integer(0).unwrap()
    };
    let before = pages().await;
    let now = micros(celeriac::clock::now());
    let most = Limits {
        tasks: 600,
        ..LIMITS
    };
    assert_eq!(retention::round(&store, most, now).await, Ok(600));
    let newest = TaskSearch {
        limit: 1_000,
        ..TaskSearch::default()
    };
    let left = store.tasks().search(&newest).await.unwrap().tasks;
    assert_eq!(
        (left.len(), &*left[0].id, &*left[599].id),
        (600, "t2499", "t1900")
    );
    let later = now + 2 * 86_400_000_000;
    assert_eq!(retention::round(&store, LIMITS, later).await, Ok(0));
    let after = pages().await;
    assert!(after < before, "{after} pages are not below {before}");
}

/// Says how many tasks a second are written and how large the file is; `--nocapture` shows
/// it, and `CELERIAC_TEST_TASKS` asks for more tasks.
#[tokio::test]
async fn a_task_takes_a_bounded_piece_of_the_file() {
    let tasks = std::env::var("CELERIAC_TEST_TASKS").map_or(5_000, |text| text.parse().unwrap());
    let file = File::new();
    let (recorder, history) = (Recorder::new(), History::new(10_000));
    let store = Store::open(&file.place()).await.unwrap();
    let recording = recorder.start(&store, &history, LIMITS, "here:1".into(), Pulse::default());
    let start = Instant::now();
    for n in 0..tasks {
        live(
            &recorder,
            &history,
            &uuid::Uuid::from_u128(n * 0x9e37_79b9_7f4a_7c15).to_string(),
        );
        if n % 1_000 == 0 {
            while recorder.figures().waiting > 5_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    assert!(recording.stop(soon() + Duration::from_secs(300)).await);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(u128::from(store.tasks().count().await.unwrap()), tasks);
    let search = Instant::now();
    let failed = TaskSearch {
        name: Some("a*".into()),
        limit: 100,
        ..TaskSearch::default()
    };
    assert_eq!(
        store.tasks().search(&failed).await.unwrap().tasks.len(),
        100
    );
    let search = search.elapsed();
    store.close().await;
    let bytes = u128::from(std::fs::metadata(&file.0).unwrap().len()) / tasks;
    println!(
        "{tasks} tasks: {:.0} a second, {bytes} bytes each, a search {search:?}",
        tasks as f64 / seconds
    );
    assert!((200..1_500).contains(&bytes), "{bytes} bytes a task");
}

const KILLED: &str = "CELERIAC_TEST_KILLED_STORE";

// S35: what was acknowledged before a `kill -9` is there. The test runs itself a second
// time, as the process that is killed.
#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    use std::io::{BufRead, BufReader, Write};
    if let Ok(path) = std::env::var(KILLED) {
        let store = Store::open(&Place::Sqlite(path.into())).await.unwrap();
        let history = History::new(10);
        for n in 0_u64.. {
            let id: Arc<str> = format!("t{n}").into();
            history.merge(
                &id,
                Said { at: 1.0, clock: n },
                &"w".into(),
                Fact::Started,
                &mut None,
            );
            let record = crate::store::TaskRecord::of_task(&history.get(&id).unwrap(), 1);
            store.tasks().save(&[record]).await.unwrap();
            println!("saved {n}");
            std::io::stdout().flush().unwrap();
        }
    }
    let file = File::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "recorder::tests::a_kill_loses_nothing_that_was_acknowledged",
            "--nocapture",
        ])
        .env(KILLED, &file.0)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let saved = |line: String| line.split_once("saved ")?.1.parse::<u64>().ok();
    let mut last = None;
    for n in lines.filter_map(saved) {
        last = Some(n);
        if n == 200 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    let last = last.unwrap();
    assert!(last >= 200);
    let store = Store::open(&file.place()).await.unwrap();
    let kept = store.tasks().count().await.unwrap();
    assert!(kept > last, "{kept} tasks, {last} was acknowledged last");
}
