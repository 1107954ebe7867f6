//! Tasks come back as they were saved.

use super::*;

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
