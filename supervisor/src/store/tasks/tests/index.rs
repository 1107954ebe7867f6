//! How much a search reads.

use super::filters::some;
use super::*;

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

#[tokio::test]
async fn what_is_too_long_for_a_query_is_stopped() {
    let store = memory().await;
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let found = store.read(Statement::new(endless)).await;
    assert!(matches!(found, Err(StoreError::TooLong(_))), "{found:?}");
    assert_eq!(store.tasks().count().await, Ok(0));
}
