//! What both servers promise: one suite for SQLite in memory, in a file, and PostgreSQL.

#![allow(clippy::unwrap_used)]

mod files;
mod servers;

use super::letters::tests::{
    a_letter_comes_back_as_it_was_and_only_once, letters_are_found_by_each_of_their_sides,
    pages_follow_each_other_without_gap_or_repetition, what_is_dropped_unseen_is_counted,
};
use super::schedules::tests::{
    a_store_has_one_name, an_edit_holds_only_for_what_the_editor_saw,
    marks_are_the_leaders_and_what_is_heard_only_moves_them_forward,
    the_switch_of_a_configured_entry_needs_no_body,
};
use super::schema::Step;
use super::terms::tests::{only_the_latest_term_may_write, terms_only_grow};
use super::*;

async fn with_things(store: &Store) {
    let table = Statement::new(
        "CREATE TABLE things (name TEXT PRIMARY KEY, count BIGINT, share DOUBLE PRECISION, raw TEXT)",
    );
    store.write(vec![table]).await.unwrap();
}

fn put(name: &str, count: i64) -> Statement {
    Statement::new("INSERT INTO things (count, name) VALUES ($2, $1)")
        .bind(name)
        .bind(count)
}

async fn count(store: &Store) -> i64 {
    let rows = store.read(Statement::new("SELECT count(*) FROM things"));
    rows.await.unwrap()[0].integer(0).unwrap()
}

async fn a_transaction_is_all_or_nothing(store: Store) {
    with_things(&store).await;
    let both = store.write(vec![put("a", 1), put("b", 2)]).await;
    assert_eq!(both, Ok(vec![1, 1]));
    let twice = store.write(vec![put("c", 3), put("a", 4)]).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let guard = Statement::new("UPDATE things SET count = 9 WHERE name = 'none'").guarded();
    let unmet = store.write(vec![put("d", 3), guard]).await;
    assert_eq!(unmet, Err(StoreError::Unmet(1)));
    let wrong = store
        .write(vec![
            put("e", 1),
            Statement::new("INSERT INTO nothing VALUES (1)"),
        ])
        .await;
    assert!(wrong.is_err());
    assert_eq!(count(&store).await, 2);
    let all = Statement::new("UPDATE things SET count = count + 1 WHERE count > $1").bind(0);
    assert_eq!(store.write(vec![all]).await, Ok(vec![2]));
    let returning = Statement::new("DELETE FROM things RETURNING name");
    assert_eq!(store.write(vec![returning]).await, Ok(vec![2]));
}

async fn every_kind_of_value_comes_back(store: Store) {
    with_things(&store).await;
    let text = "ünï\u{1f600} 100%_!'\"$1";
    let put = Statement::new("INSERT INTO things (name, count, share) VALUES ($1, $2, $3)");
    let rows = [
        put.clone().bind(text).bind(i64::MIN).bind(0.1),
        put.clone().bind("none").bind(Cell::Null).bind(None::<f64>),
        put.bind("big").bind(u64::MAX).bind(1e300),
    ];
    store.write(rows.into()).await.unwrap();
    let all = "SELECT name, count, share, '$1' FROM things WHERE name <> $1 ORDER BY name";
    let rows = store.read(Statement::new(all).bind("x")).await.unwrap();
    assert_eq!(rows.len(), 3);
    let mut rows = rows;
    rows.sort_by_key(|row| row.text(0).unwrap());
    assert_eq!(rows[0].integer(1).unwrap(), i64::MAX);
    assert_eq!(
        (
            rows[1].maybe_integer(1).unwrap(),
            rows[1].maybe_real(2).unwrap()
        ),
        (None, None)
    );
    assert_eq!(
        (rows[2].text(0).unwrap(), rows[2].integer(1).unwrap()),
        (text.to_owned(), i64::MIN)
    );
    assert_eq!(
        (
            rows[2].maybe_real(2).unwrap().unwrap(),
            rows[2].text(3).unwrap()
        ),
        (0.1, "$1".to_owned())
    );
    assert!(rows[0].text(1).is_err() && rows[0].integer(9).is_err());
    // One character is beyond one of the servers; the row is not lost for it.
    let strange = Statement::new("INSERT INTO things (name) VALUES ($1)").bind("a\0b");
    assert_eq!(store.write(vec![strange]).await, Ok(vec![1]));
}

async fn a_batch_keeps_its_order_and_is_one_transaction(store: Store) {
    with_things(&store).await;
    let mut batch = vec![put("sum", 0)];
    for n in 1..=500_i64 {
        // No other order ends in the same number.
        let sql = "UPDATE things SET count = (count * 3 + $1) % 1000003 WHERE name = 'sum'";
        batch.push(Statement::new(sql).bind(n));
    }
    assert_eq!(store.write(batch).await.unwrap().len(), 501);
    let expected = (1..=500_i64).fold(0, |sum, n| (sum * 3 + n) % 1_000_003);
    let rows = store
        .read(Statement::new("SELECT count FROM things"))
        .await
        .unwrap();
    assert_eq!(rows[0].integer(0).unwrap(), expected);
}

async fn reads_do_not_write_and_end_in_time(store: Store) {
    with_things(&store).await;
    let written = store.read(put("a", 1)).await;
    assert!(written.is_err(), "{written:?}");
    assert_eq!(count(&store).await, 0);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000)
                   SELECT count(*) FROM n";
    let found = store.read(Statement::new(endless)).await;
    assert_eq!(found, Err(StoreError::TooLong(READ)));
    assert_eq!(count(&store).await, 0);
}

async fn many_at_once_lose_nothing(store: Store) {
    with_things(&store).await;
    store.write(vec![put("sum", 0)]).await.unwrap();
    let add = |store: Store| async move {
        for _ in 0..20 {
            let add = Statement::new("UPDATE things SET count = count + 1 WHERE name = 'sum'");
            store.write(vec![add]).await.unwrap();
            assert_eq!(count(&store).await, 1);
        }
    };
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(add(store.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = store
        .read(Statement::new("SELECT count FROM things"))
        .await
        .unwrap();
    assert_eq!(rows[0].integer(0).unwrap(), 160);
}

async fn a_closed_store_says_so(store: Store) {
    with_things(&store).await;
    let (written, ()) = tokio::join!(store.write(vec![put("a", 1)]), store.close());
    // What was handed over before is done.
    assert_eq!(written, Ok(vec![1]));
    assert_eq!(
        store.write(vec![put("b", 1)]).await,
        Err(StoreError::Closed)
    );
    let read = store.read(Statement::new("SELECT 1")).await;
    assert_eq!(read, Err(StoreError::Closed));
}

async fn tasks_and_figures_are_found(store: Store) {
    tasks::tests::conformance(&store).await;
}

macro_rules! suite {
    ($($case:ident),*) => {
        mod in_memory { $(
            #[tokio::test]
            async fn $case() {
                super::$case(super::Store::open(&super::Place::Memory).await.unwrap()).await;
            }
        )* }
        mod in_a_file { $(
            #[tokio::test]
            async fn $case() {
                let folder = super::files::Folder::new();
                super::$case(super::Store::open(&folder.place()).await.unwrap()).await;
            }
        )* }
        mod in_postgres { $(
            #[tokio::test]
            async fn $case() {
                let place = super::servers::database().await;
                super::$case(super::Store::open(&place).await.unwrap()).await;
            }
        )* }
    };
}

suite!(
    a_transaction_is_all_or_nothing,
    every_kind_of_value_comes_back,
    a_batch_keeps_its_order_and_is_one_transaction,
    reads_do_not_write_and_end_in_time,
    many_at_once_lose_nothing,
    a_closed_store_says_so,
    tasks_and_figures_are_found,
    a_letter_comes_back_as_it_was_and_only_once,
    letters_are_found_by_each_of_their_sides,
    pages_follow_each_other_without_gap_or_repetition,
    what_is_dropped_unseen_is_counted,
    terms_only_grow,
    only_the_latest_term_may_write,
    an_edit_holds_only_for_what_the_editor_saw,
    the_switch_of_a_configured_entry_needs_no_body,
    marks_are_the_leaders_and_what_is_heard_only_moves_them_forward,
    a_store_has_one_name
);

const FIRST: Step = &[&["CREATE TABLE a (x BIGINT)"]];
const SECOND: Step = &[
    &[
        "ALTER TABLE a ADD COLUMN y {key}",
        "INSERT INTO a (x, y) VALUES (1, 'new')",
    ],
    &["CREATE TABLE b (id {serial}, z {bytes})"],
];
const BROKEN: Step = &[&["CREATE TABLE c (x BIGINT)", "CREATE NONSENSE"]];

#[tokio::test]
async fn a_schema_is_brought_up_to_date_and_a_newer_one_is_refused() {
    let folder = files::Folder::new();
    let place = &folder.place();
    let open = |steps| Sqlite::open(place, steps);
    open(&[FIRST]).await.unwrap().close().await;
    let newer = open(&[FIRST, SECOND]).await.unwrap();
    let rows = newer
        .read(Statement::new("SELECT x, y FROM a"), READ)
        .await
        .unwrap();
    assert_eq!(rows[0].text(1).unwrap(), "new");
    newer.close().await;
    let error = open(&[FIRST]).await.unwrap_err();
    assert_eq!(error, StoreError::Newer { found: 2, known: 1 });
    assert!(error.to_string().contains("run the newer"));
    // A step that fails leaves nothing behind.
    assert!(open(&[FIRST, SECOND, BROKEN]).await.is_err());
    let same = open(&[FIRST, SECOND]).await.unwrap();
    assert!(
        same.read(Statement::new("SELECT * FROM c"), READ)
            .await
            .is_err()
    );
}
