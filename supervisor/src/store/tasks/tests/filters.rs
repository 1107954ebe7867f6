//! What a search finds in the store.

use super::*;

pub(super) fn finds(page: &TaskPage) -> Vec<&str> {
    page.tasks.iter().map(|task| &*task.id).collect()
}

pub(super) async fn some() -> Store {
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
