#![allow(clippy::unwrap_used)]

use super::*;

fn edit(name: &str, seen: i64) -> Edit<'_> {
    Edit {
        name,
        seen,
        who: "me",
        now: instant(5),
    }
}

fn entry() -> Entry {
    Entry::crontab("0 3 * * *", "task").unwrap().named("a")
}

fn mark(upto: i64, tick: i64) -> Mark {
    Mark {
        upto: instant(upto),
        shape: "on".to_owned(),
        last: Some(Sent {
            tick: instant(tick),
            at: instant(tick + 1),
            task_id: "id".to_owned(),
            term: 4,
        }),
        sent: 3,
        missed: 2,
    }
}

pub(in crate::store) async fn an_edit_holds_only_for_what_the_editor_saw(store: Store) {
    let unmet = Err(StoreError::Unmet(1));
    assert_eq!(put(&store, &edit("a", 3), &entry()).await, unmet);
    let first = put(&store, &edit("a", 0), &entry()).await.unwrap();
    assert_eq!(put(&store, &edit("a", 0), &entry()).await, unmet);
    let second = put(&store, &edit("a", first), &entry().arg(1))
        .await
        .unwrap();
    assert!(second > first);
    assert_eq!(switch(&store, &edit("a", first), false).await, unmet);
    let third = switch(&store, &edit("a", second), false).await.unwrap();
    let stored = all(&store).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].entry.as_ref().unwrap().args.len(), 1);
    assert_eq!(
        (stored[0].enabled, stored[0].revision),
        (Some(false), third)
    );
    // What was refused counted nothing.
    assert_eq!(revision(&store).await.unwrap().0, third);
    assert_eq!(
        delete(&store, &edit("a", second)).await,
        Err(StoreError::Unmet(1))
    );
    delete(&store, &edit("a", third)).await.unwrap();
    assert!(all(&store).await.unwrap().is_empty());
}

pub(in crate::store) async fn the_switch_of_a_configured_entry_needs_no_body(store: Store) {
    let seen = switch(&store, &edit("a", 0), false).await.unwrap();
    switch(&store, &edit("a", seen), true).await.unwrap();
    let stored = all(&store).await.unwrap();
    assert_eq!(
        (stored[0].entry.is_none(), stored[0].enabled),
        (true, Some(true))
    );
}

pub(in crate::store) async fn marks_are_the_leaders_and_what_is_heard_only_moves_them_forward(
    store: Store,
) {
    let name = || "a".to_owned();
    let term = terms::begin(&store, BEAT, "x", 1, 0).await.unwrap();
    record(&store, term, &[(name(), mark(20, 20))])
        .await
        .unwrap();
    hear(&store, &[(name(), mark(10, 10))]).await.unwrap();
    assert_eq!(marks(&store).await.unwrap()["a"], mark(20, 20));
    hear(&store, &[(name(), mark(30, 30))]).await.unwrap();
    assert_eq!(marks(&store).await.unwrap()["a"], mark(30, 30));
    terms::begin(&store, BEAT, "y", 1, 0).await.unwrap();
    let stale = record(&store, term, &[(name(), mark(40, 40))]).await;
    assert_eq!(stale, Err(StoreError::Unmet(0)));
    assert_eq!(marks(&store).await.unwrap()["a"], mark(30, 30));
}

pub(in crate::store) async fn a_store_has_one_name(store: Store) {
    let (_, name) = revision(&store).await.unwrap();
    assert_eq!(revision(&store).await.unwrap(), (0, name.clone()));
    let other = Store::open(&crate::store::Place::Memory).await.unwrap();
    assert_ne!(revision(&other).await.unwrap().1, name);
}
