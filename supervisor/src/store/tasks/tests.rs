#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::cluster::{Call, Fact, Route, Said, Task};
use crate::store::{Place, StoreError};

fn said(at: u64) -> Said {
    Said {
        at: at as f64,
        clock: at,
    }
}

fn call(name: &str, args: &str) -> Call {
    Call {
        name: Some(name.into()),
        args: Some(args.into()),
        kwargs: Some("{}".into()),
        root: Some("root".into()),
        ..Call::default()
    }
}

fn life(id: &str) -> Vec<(Said, &'static str, Fact)> {
    let exception = Some("ValueError('no')".to_owned());
    let route = Route {
        queue: Some("mail".into()),
        client: "gen1@c".into(),
    };
    let mut sent = call("send", "(1,)");
    sent.parent = Some(id.to_owned());
    vec![
        (said(1), "gen1@c", Fact::Sent(sent, route)),
        (said(2), "w1", Fact::Received(call("send", "(1, 2)"))),
        (said(3), "w1", Fact::Started),
        (
            said(4),
            "w1",
            Fact::Retried {
                exception,
                traceback: Some("Traceback".into()),
            },
        ),
        (
            said(5),
            "w2",
            Fact::Received(Call {
                retries: 1,
                ..call("send", "(1, 2)")
            }),
        ),
        (said(6), "w2", Fact::Started),
        (
            said(7),
            "w2",
            Fact::Succeeded {
                result: Some("3".into()),
                runtime: Some(0.5),
            },
        ),
    ]
}

fn task(id: &str, facts: impl IntoIterator<Item = (Said, &'static str, Fact)>) -> Task {
    let mut task = Task::new(id.into(), 1);
    for (said, sender, fact) in facts {
        task.merge(said, &Arc::from(sender), fact);
    }
    task
}

async fn memory() -> Store {
    Store::open(&Place::Memory).await.unwrap()
}

/// Without what says when each part was heard: a row read back does not have it.
async fn stored(store: &Store, id: &str) -> TaskRecord {
    store.tasks().get(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_task_comes_back_whole() {
    let store = memory().await;
    let record = TaskRecord::of_task(&task("a", life("a")), 9);
    store
        .tasks()
        .save(std::slice::from_ref(&record))
        .await
        .unwrap();
    let found = stored(&store, "a").await;
    assert_eq!(
        found,
        TaskRecord {
            words: found.words.clone(),
            ..record
        }
    );
    assert_eq!(found.finished(), Some(7_000_000));
    let kinds: Vec<_> = found
        .timeline()
        .iter()
        .map(|step| step.kind.as_str())
        .collect();
    let expected = [
        "sent",
        "received",
        "started",
        "retried",
        "received",
        "started",
        "succeeded",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(store.tasks().get("b").await, Ok(None));
}

#[tokio::test]
async fn a_task_that_ran_once_has_a_timeline_without_steps_of_its_own() {
    let store = memory().await;
    let once = task("a", life("a").into_iter().take(3));
    store
        .tasks()
        .save(&[TaskRecord::of_task(&once, 1)])
        .await
        .unwrap();
    let found = stored(&store, "a").await;
    assert!(found.steps.is_empty());
    let kinds: Vec<_> = found
        .timeline()
        .iter()
        .map(|step| step.kind.as_str())
        .collect();
    assert_eq!(kinds, ["sent", "received", "started"]);
}

// S35: a task that was forgotten here, or is written by two supervisors, ends as the same
// row: what the store knows better is never overwritten.
#[tokio::test]
async fn pieces_of_a_life_in_any_order_end_as_the_same_row() {
    let store = memory().await;
    let whole = TaskRecord::of_task(&task("whole", life("x")), 1);
    store.tasks().save(&[whole]).await.unwrap();
    let expected = stored(&store, "whole").await;
    // Every piece is what a process knows that heard this part alone.
    for (number, cut) in (0..=7).flat_map(|cut| [(0, cut), (1, cut), (2, cut)]) {
        let id = format!("piece{number}-{cut}");
        let record = |facts: Vec<_>, known| TaskRecord::of_task(&task(&id, facts), known);
        let (first, second) = (life("x")[..cut].to_vec(), life("x")[cut..].to_vec());
        let (first, second) = (record(first, 1), record(second, 2));
        let order = match number {
            0 => vec![first, second],
            1 => vec![second, first],
            _ => vec![first.clone(), second.clone(), first, second],
        };
        for record in order {
            // Nothing was heard: such a task is never written.
            if !record.words.weight.is_empty() {
                store.tasks().save(&[record]).await.unwrap();
            }
        }
        let found = stored(&store, &id).await;
        let known = found.known;
        assert!(known == 1 || cut == 0, "{id}: {known}");
        let steps: Vec<_> = found
            .steps
            .iter()
            .map(|step| (step.at, step.kind))
            .collect();
        let all: Vec<_> = expected
            .steps
            .iter()
            .map(|step| (step.at, step.kind))
            .collect();
        if (3..=6).contains(&cut) && number == 0 {
            assert_eq!(steps, all, "{id}");
        }
        let found = TaskRecord {
            id: "whole".into(),
            known: 1,
            steps: expected.steps.clone(),
            ..found
        };
        assert_eq!(found, expected, "{id}");
    }
}

fn finds(page: &TaskPage) -> Vec<&str> {
    page.tasks.iter().map(|task| &*task.id).collect()
}

async fn some() -> Store {
    let store = memory().await;
    let mut records = Vec::new();
    for n in 0..60_u64 {
        let (name, worker) = (
            ["app.add", "app.mul", "mail.send"][n as usize % 3],
            ["w1", "w2"][n as usize % 2],
        );
        let mut facts = vec![
            (
                said(n),
                "c",
                Fact::Sent(
                    call(name, "()"),
                    Route {
                        queue: Some("q".into()),
                        client: "c".into(),
                    },
                ),
            ),
            (
                said(n),
                worker,
                Fact::Received(call(name, &format!("('Arg_{n}', 100%)"))),
            ),
        ];
        facts.push((
            said(n + 1),
            worker,
            match n % 4 {
                0 => Fact::Failed {
                    exception: Some(format!("KeyError({n})")),
                    traceback: Some("File x.py".into()),
                },
                _ => Fact::Succeeded {
                    result: None,
                    runtime: None,
                },
            },
        ));
        records.push(TaskRecord::of_task(
            &task(&format!("id{n:02}"), facts),
            1_000 + n as i64 / 2,
        ));
    }
    store.tasks().save(&records).await.unwrap();
    store
}

/// What the search is to find, by looking at every task.
async fn expected(store: &Store, takes: impl Fn(&TaskRecord) -> bool) -> Vec<String> {
    let all = store
        .tasks()
        .search(&TaskSearch {
            limit: 100,
            ..TaskSearch::default()
        })
        .await
        .unwrap();
    assert_eq!((all.tasks.len(), all.next), (60, None));
    all.tasks
        .into_iter()
        .filter(takes)
        .map(|task| task.id)
        .collect()
}

#[tokio::test]
async fn each_filter_finds_what_it_says_page_by_page() {
    let store = some().await;
    let text = |text: &str| Some(text.to_owned());
    type Takes = fn(&TaskRecord) -> bool;
    let cases: Vec<(TaskSearch, Takes)> = vec![
        (
            TaskSearch {
                name: text("app.add"),
                ..TaskSearch::default()
            },
            |t| t.name.as_deref() == Some("app.add"),
        ),
        (
            TaskSearch {
                name: text("app.*"),
                ..TaskSearch::default()
            },
            |t| t.name.as_deref() != Some("mail.send"),
        ),
        (
            TaskSearch {
                name: text("*l*"),
                ..TaskSearch::default()
            },
            |t| t.name.as_deref() != Some("app.add"),
        ),
        (
            TaskSearch {
                name: text("nobody.*"),
                ..TaskSearch::default()
            },
            |_| false,
        ),
        (
            TaskSearch {
                states: vec!["FAILURE".into()],
                ..TaskSearch::default()
            },
            |t| t.state.as_str() == "FAILURE",
        ),
        (
            TaskSearch {
                states: vec!["FAILURE".into(), "SUCCESS".into()],
                ..TaskSearch::default()
            },
            |_| true,
        ),
        (
            TaskSearch {
                name: text("app.mul"),
                states: vec!["FAILURE".into()],
                worker: text("w1"),
                ..TaskSearch::default()
            },
            |t| {
                t.name.as_deref() == Some("app.mul")
                    && t.state.as_str() == "FAILURE"
                    && t.worker.as_deref() == Some("w1")
            },
        ),
        (
            TaskSearch {
                worker: text("w2"),
                ..TaskSearch::default()
            },
            |t| t.worker.as_deref() == Some("w2"),
        ),
        (
            TaskSearch {
                queue: text("q"),
                worker: text("w1"),
                ..TaskSearch::default()
            },
            |t| t.worker.as_deref() == Some("w1"),
        ),
        (
            TaskSearch {
                from: Some(1_010),
                to: Some(1_020),
                ..TaskSearch::default()
            },
            |t| (1_010..1_020).contains(&t.known),
        ),
        (
            TaskSearch {
                error: text("keyerror(4"),
                ..TaskSearch::default()
            },
            |t| {
                t.exception
                    .as_ref()
                    .is_some_and(|e| e.starts_with("KeyError(4"))
            },
        ),
        (
            TaskSearch {
                error: text("X.PY"),
                ..TaskSearch::default()
            },
            |t| t.state.as_str() == "FAILURE",
        ),
        (
            TaskSearch {
                argument: text("arg_1'"),
                ..TaskSearch::default()
            },
            |t| t.id == "id01",
        ),
        (
            TaskSearch {
                argument: text("100%)"),
                ..TaskSearch::default()
            },
            |_| true,
        ),
        (
            TaskSearch {
                argument: text("0_%"),
                ..TaskSearch::default()
            },
            |_| false,
        ),
        (
            TaskSearch {
                id: text("id1"),
                ..TaskSearch::default()
            },
            |t| t.id.starts_with("id1"),
        ),
        (
            TaskSearch {
                root: text("root"),
                name: text("mail.send"),
                ..TaskSearch::default()
            },
            |t| t.name.as_deref() == Some("mail.send"),
        ),
        (
            TaskSearch {
                root: text("root"),
                id: text("id_"),
                ..TaskSearch::default()
            },
            |_| false,
        ),
        (
            TaskSearch {
                queue: text("other"),
                ..TaskSearch::default()
            },
            |_| false,
        ),
    ];
    for (search, takes) in cases {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let page = TaskSearch {
                limit: 7,
                after: next,
                ..search.clone()
            };
            let page = store.tasks().search(&page).await.unwrap();
            found.extend(page.tasks.into_iter().map(|task| task.id));
            next = page.next.map(|next| next.to_string().parse().unwrap());
            if next.is_none() {
                break;
            }
        }
        assert_eq!(found, expected(&store, takes).await, "{search:?}");
    }
}

#[tokio::test]
async fn a_page_joins_the_next_while_tasks_come_and_go() {
    let store = some().await;
    let first = TaskSearch {
        limit: 2,
        ..TaskSearch::default()
    };
    let page = store.tasks().search(&first).await.unwrap();
    assert_eq!(finds(&page), ["id59", "id58"]);
    let new = TaskRecord::of_task(&task("new", life("x")), 5_000);
    store.tasks().save(&[new]).await.unwrap();
    assert_eq!(store.tasks().forget(1_001, 9).await, Ok(2));
    let second = TaskSearch {
        after: page.next,
        ..first
    };
    assert_eq!(
        finds(&store.tasks().search(&second).await.unwrap()),
        ["id57", "id56"]
    );
}

/// Each search follows an index from the newest task on, and sorts nothing but the few it
/// found: with a million tasks it reads as many as it shows.
#[tokio::test]
async fn searches_follow_their_index() {
    let store = some().await;
    let text = |text: &str| Some(text.to_owned());
    let after: Position = "1010.id20".parse().unwrap();
    let cases = [
        (
            TaskSearch::default(),
            "SCAN tasks USING COVERING INDEX tasks_known",
        ),
        (
            TaskSearch {
                from: Some(1),
                after: Some(after.clone()),
                ..TaskSearch::default()
            },
            "tasks_known (known",
        ),
        (
            TaskSearch {
                name: text("app.add"),
                after: Some(after.clone()),
                ..TaskSearch::default()
            },
            "tasks_name (name=? AND state=? AND (known,id)<(?,?)",
        ),
        (
            TaskSearch {
                states: vec!["FAILURE".into()],
                after: Some(after.clone()),
                ..TaskSearch::default()
            },
            "tasks_state (state=? AND (known,id)<(?,?)",
        ),
        (
            TaskSearch {
                worker: text("w1"),
                states: vec!["FAILURE".into()],
                from: Some(1),
                ..TaskSearch::default()
            },
            "tasks_worker (worker=? AND known>?",
        ),
        (
            TaskSearch {
                queue: text("q"),
                ..TaskSearch::default()
            },
            "tasks_queue (queue=?",
        ),
        (
            TaskSearch {
                root: text("r"),
                ..TaskSearch::default()
            },
            "tasks_root (root=?",
        ),
        (
            TaskSearch {
                id: text("id1"),
                ..TaskSearch::default()
            },
            "sqlite_autoindex_tasks_1 (id>? AND id<?",
        ),
    ];
    for (search, index) in cases {
        let names = search.name.clone().map(|name| vec![name]);
        let states = match search.states.is_empty() {
            true => vec!["FAILURE".to_owned(), "SUCCESS".to_owned()],
            false => search.states.clone(),
        };
        let search = TaskSearch {
            limit: 10,
            ..search
        };
        let mut plan = search::statement(&search, names.as_deref(), &states);
        plan.sql = format!("EXPLAIN QUERY PLAN {}", plan.sql).into();
        let rows = store.read(plan).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.text(3).unwrap()).collect();
        let arm: Vec<_> = lines.iter().filter(|line| line.contains(index)).collect();
        assert!(!arm.is_empty(), "{search:?}: {lines:#?}");
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("SCAN tasks") && !line.contains("INDEX")),
            "{lines:#?}"
        );
        // Found ones are sorted, twice: of all arms together, and with their rows.
        let sorts = lines
            .iter()
            .filter(|line| line.contains("TEMP B-TREE FOR ORDER BY"))
            .count();
        let most = if index.contains("autoindex") { 3 } else { 2 };
        assert!(sorts <= most, "{search:?}: {lines:#?}");
    }
}

// S35: without a history the same searches look through memory.
#[test]
fn searches_find_the_same_in_memory() {
    let history = crate::cluster::History::new(100);
    for n in 0..30 {
        for (said, sender, fact) in life(&format!("id{n:02}")).into_iter().take(n % 7 + 1) {
            let id = format!("id{n:02}").into();
            history.merge(&id, said, &sender.into(), fact, &mut None);
        }
    }
    let text = |text: &str| Some(text.to_owned());
    let find = |search: TaskSearch| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = TaskSearch {
                limit: 7,
                after,
                ..search.clone()
            };
            let page = page.in_memory(&history);
            assert!(page.tasks.len() <= 7);
            found.extend(page.tasks.into_iter().map(|task| task.id));
            let Some(next) = page.next else { break };
            // As a client sends it back.
            after = Some(next.to_string().parse().unwrap());
        }
        found
    };
    let none = TaskSearch::default();
    let all = find(none.clone());
    let newest_first = (0..30).rev().map(|n| format!("id{n:02}"));
    assert_eq!(all, newest_first.collect::<Vec<_>>());
    for (search, first, count) in [
        (
            TaskSearch {
                name: text("se*"),
                states: vec!["PENDING".into(), "SUCCESS".into()],
                ..none.clone()
            },
            "id28",
            9,
        ),
        (
            TaskSearch {
                worker: text("w2"),
                queue: text("mail"),
                root: text("root"),
                ..none.clone()
            },
            "id27",
            12,
        ),
        (
            TaskSearch {
                error: text("VALUEerror"),
                ..none.clone()
            },
            "id24",
            4,
        ),
        (
            TaskSearch {
                argument: text("1, 2"),
                id: text("id1"),
                ..none.clone()
            },
            "id19",
            9,
        ),
        (
            TaskSearch {
                from: Some(1_000_000),
                to: Some(1_000_001),
                id: text("id2"),
                ..none.clone()
            },
            "id29",
            10,
        ),
    ] {
        let found = find(search.clone());
        assert_eq!((&*found[0], found.len()), (first, count), "{search:?}");
    }
    assert!(
        find(TaskSearch {
            worker: text("w9"),
            ..none
        })
        .is_empty()
    );
}

#[tokio::test]
async fn a_workflow_is_found_by_its_first_task_and_steps_are_forgotten_with_their_task() {
    let store = memory().await;
    let record = |id: &str, known| TaskRecord::of_task(&task(id, life(id)), known);
    store
        .tasks()
        .save(&[record("root", 1), record("b", 3), record("a", 2)])
        .await
        .unwrap();
    let found = store.tasks().by_root("root").await.unwrap();
    let ids: Vec<_> = found.iter().map(|task| &*task.id).collect();
    assert_eq!(ids, ["root", "a", "b"]);
    assert_eq!(store.tasks().count().await, Ok(3));
    assert_eq!(store.tasks().forget(3, 10).await, Ok(2));
    let steps = Statement::new("SELECT DISTINCT task FROM task_steps");
    let steps = store.read(steps).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].text(0).unwrap(), "b");
}

// S35: a supervisor that was restarted knows only what happens from then on; the steps of
// the run before stay.
#[tokio::test]
async fn a_retry_after_a_restart_keeps_the_first_run() {
    let store = memory().await;
    let before = task("a", life("a")[..3].to_vec());
    let after = task("a", life("a")[3..].to_vec());
    for (task, known) in [(before, 1), (after, 2)] {
        store
            .tasks()
            .save(&[TaskRecord::of_task(&task, known)])
            .await
            .unwrap();
    }
    let found = stored(&store, "a").await;
    let times: Vec<_> = found
        .timeline()
        .iter()
        .map(|step| step.at / 1_000_000)
        .collect();
    assert_eq!(times, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn what_is_too_long_for_a_query_is_stopped() {
    let store = memory().await;
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let found = store.read(Statement::new(endless)).await;
    assert!(matches!(found, Err(StoreError::TooLong(_))), "{found:?}");
    assert_eq!(store.tasks().count().await, Ok(0));
}

/// What both servers must find alike.
pub(in crate::store) async fn conformance(store: &Store) {
    let record = |id: &str, known| TaskRecord::of_task(&task(id, life(id)), known);
    let half = TaskRecord::of_task(&task("b", life("b")[..3].to_vec()), 3);
    store
        .tasks()
        .save(&[record("a", 1), half, record("C", 2)])
        .await
        .unwrap();
    store.tasks().save(&[record("b", 9)]).await.unwrap();
    let (a, b) = (stored(store, "a").await, stored(store, "b").await);
    assert_eq!(b.known, 3);
    let b = TaskRecord {
        id: "a".into(),
        known: 1,
        ..b
    };
    assert_eq!(
        TaskRecord { parent: None, ..a },
        TaskRecord { parent: None, ..b }
    );
    let text = |text: &str| Some(text.to_owned());
    let searches = [
        (TaskSearch::default(), vec!["b", "C", "a"]),
        (
            TaskSearch {
                name: text("se*"),
                states: vec!["SUCCESS".into(), "x".into()],
                ..TaskSearch::default()
            },
            vec!["b", "C", "a"],
        ),
        (
            TaskSearch {
                id: text("b"),
                ..TaskSearch::default()
            },
            vec!["b"],
        ),
        (
            TaskSearch {
                argument: text("(1, 2"),
                worker: text("w2"),
                ..TaskSearch::default()
            },
            vec!["b", "C", "a"],
        ),
        (
            TaskSearch {
                root: text("root"),
                from: Some(2),
                to: Some(3),
                ..TaskSearch::default()
            },
            vec!["C"],
        ),
        (
            TaskSearch {
                queue: text("mail"),
                after: Some("3.b".parse().unwrap()),
                ..TaskSearch::default()
            },
            vec!["C", "a"],
        ),
        (
            TaskSearch {
                error: text("no"),
                ..TaskSearch::default()
            },
            vec![],
        ),
    ];
    for (search, expected) in searches {
        let page = store
            .tasks()
            .search(&TaskSearch {
                limit: 5,
                ..search.clone()
            })
            .await
            .unwrap();
        assert_eq!(finds(&page), expected, "{search:?}");
    }
    assert_eq!(store.tasks().by_root("root").await.unwrap().len(), 3);
    assert_eq!(store.tasks().forget(3, 10).await, Ok(2));
    assert_eq!(store.tasks().count().await, Ok(1));
    let mut tally = crate::store::Tally::default();
    let figures = crate::cluster::Figures {
        queue_time: Some(0.1),
        runtime: Some(0.2),
    };
    tally.count(1, &"add".into(), Some("SUCCESS"), figures);
    for writer in ["x", "x", "y"] {
        store.write(tally.statements(writer)).await.unwrap();
    }
    let span = crate::store::Span { from: 0, to: 100 };
    let counts = store.series().counts(span).await.unwrap();
    assert_eq!(counts["add"]["SUCCESS"], 2);
    let points = store.series().points(span, crate::store::MINUTE).await;
    let points = points.unwrap();
    assert_eq!((points.len(), points[0].states["SUCCESS"]), (1, 2));
    assert!(points[0].queue_time.quantile(0.5).is_some());
    assert_eq!(
        store.series().forget(crate::store::MINUTE, 100).await,
        Ok(6)
    );
}

/// Two writers save pieces of the same tasks at once.
pub(in crate::store) async fn race(first: &Store, second: &Store) {
    let write = |store: Store, backward: bool| async move {
        for round in 1..=7 {
            let cut = if backward { 8 - round } else { round };
            let records = (0..100).map(|n| {
                let n = if backward { 99 - n } else { n };
                TaskRecord::of_task(&task(&format!("t{n}"), life("x")[..cut].to_vec()), n)
            });
            store
                .tasks()
                .save(&records.collect::<Vec<_>>())
                .await
                .unwrap();
        }
    };
    tokio::join!(write(first.clone(), false), write(second.clone(), true));
    let expected = stored(first, "t0").await;
    assert_eq!(expected.state.as_str(), "SUCCESS");
    for n in 1..100 {
        let found = stored(second, &format!("t{n}")).await;
        assert_eq!(
            TaskRecord {
                id: "t0".into(),
                known: 0,
                ..found
            },
            expected
        );
    }
}
