#![allow(clippy::unwrap_used)]

use super::*;

async fn memory() -> Store {
    let store = Store::open(&Place::Memory).await.unwrap();
    let table = Statement::new("CREATE TABLE things (name TEXT PRIMARY KEY, count BIGINT)");
    store.write(vec![table]).await.unwrap();
    store
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

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let store = memory().await;
    assert_eq!(
        store.write(vec![put("a", 1), put("b", 2)]).await,
        Ok(vec![1, 1])
    );
    let twice = store.write(vec![put("c", 3), put("a", 4)]).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let guard = Statement::new("UPDATE things SET count = 9 WHERE name = 'none'").guarded();
    let unmet = store.write(vec![put("d", 3), guard]).await;
    assert_eq!(unmet, Err(StoreError::Unmet(1)));
    assert_eq!(count(&store).await, 2);
    store.close().await;
    assert_eq!(
        store.write(vec![put("e", 1)]).await,
        Err(StoreError::Closed)
    );
}
