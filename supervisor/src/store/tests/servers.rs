//! Stores on a PostgreSQL server, which `./tests/run unit` starts.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::*;

/// Makes a database of its own; it goes with the server.
pub(super) async fn database() -> Place {
    let url = std::env::var("CELERIAC_TEST_POSTGRES_URL")
        .expect("expected CELERIAC_TEST_POSTGRES_URL, found none: run ./tests/run unit");
    let (client, io) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(io);
    let name = format!("store_{}", uuid::Uuid::new_v4().simple());
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    Place::Postgres(format!("{server}/{name}"))
}

async fn kill_connections(place: &Place) {
    let Place::Postgres(url) = place else { return };
    let (client, io) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(io);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    client.batch_execute(kill).await.unwrap();
}

#[tokio::test]
async fn two_supervisors_may_start_at_once() {
    let place = database().await;
    let open = (0..6).map(|_| Store::open(&place));
    for store in futures_util::future::join_all(open).await {
        store.unwrap();
    }
}

#[tokio::test]
async fn lost_connections_are_made_again() {
    let place = database().await;
    let store = Store::open(&place).await.unwrap();
    with_things(&store).await;
    for round in 1..=5 {
        kill_connections(&place).await;
        let mut tries = 0;
        while let Err(error) = store.write(vec![put(&format!("a{round}"), round)]).await {
            assert!(error.is_transient(), "{error}");
            tries += 1;
            assert!(tries < 40, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let found = store
            .read(Statement::new("SELECT count(*) FROM things"))
            .await;
        assert!(found.is_ok_and(|rows| rows[0].integer(0).unwrap() == round) || round < 5);
    }
    assert_eq!(store.trouble(), None);
    assert_eq!(count(&store).await, 5);
}

#[tokio::test]
async fn a_place_that_cannot_work_is_told_at_once_and_without_its_password() {
    let Place::Postgres(url) = database().await else {
        unreachable!()
    };
    let cases = [
        (format!("{url}_missing"), "does not exist"),
        (
            format!("{url}?sslmode=prefer"),
            "sslmode of disable, require or verify-full",
        ),
        (format!("{url}?sslmode=require"), "TLS"),
        (
            "postgres://u:secret@h:port/d".to_owned(),
            "expected a URL like postgres://",
        ),
    ];
    for (url, expected) in cases {
        let error = Store::open(&Place::Postgres(url))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

// S35: two supervisors that write the same tasks at once end with the same rows, and
// neither waits for the other in a circle.
#[tokio::test]
async fn two_supervisors_write_the_same_tasks() {
    let place = database().await;
    let (first, second) = (
        Store::open(&place).await.unwrap(),
        Store::open(&place).await.unwrap(),
    );
    tasks::tests::race(&first, &second).await;
}
