//! What is the same on every server.

use super::filters::finds;
use super::*;

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
