//! Tasks that are called off.

use super::*;

#[tokio::test]
async fn terminate_stops_what_runs_here() {
    let (shared, _commands) = office();
    let running = job(&shared, "one", "[[], {}, {}]", true);
    let waiting = job(&shared, "two", "[[], {}, {}]", false);
    let arguments = r#"{"task_id": ["one", "two", "three"], "terminate": 1, "signal": "KILL"}"#;
    let answer = asked(&shared, "revoke", arguments).await;
    assert_eq!(text(answer), "{'ok': 'terminate: one, two'}");
    assert_eq!(running.stopping(), Some(Stop::Terminated(Signal::KILL)));
    assert!(running.context.is_cancelled() && !waiting.context.is_cancelled());
    assert_eq!(
        text(ask(&shared, "revoked", "{}")),
        "['one', 'two', 'three']"
    );
    drop((running, waiting));
}

#[tokio::test]
async fn revoked_is_stored_for_what_does_not_run_here() {
    let (shared, _commands) = office();
    let running = job(&shared, "one", "[[], {}, {}]", true);
    let arguments = r#"{"task_id": ["one", "two", "two"]}"#;
    let answer = asked(&shared, "revoke", arguments).await;
    assert_eq!(
        text(answer),
        r#"{'ok': "tasks {'one', 'two'} flagged as revoked"}"#
    );
    let ids = ["one".to_owned(), "two".to_owned()];
    let backend = shared.app.backend();
    let found = backend.fetch(&ids).await.unwrap();
    assert_eq!(found[0], None);
    let document = found[1].as_ref().unwrap();
    assert_eq!(document.status.as_str(), "REVOKED");
    assert_eq!(
        document.exception().unwrap().repr(),
        "TaskRevokedError('revoked')"
    );
    drop(running);
}

#[tokio::test]
async fn hello_trades_what_is_revoked() {
    let (shared, _commands) = office();
    shared
        .revoked
        .add(["mine".to_owned()], std::time::Instant::now());
    let stamps = r#"{"headers": {"customer": [7, "x"]}}"#;
    asked(&shared, "revoke_by_stamped_headers", stamps).await;
    assert_eq!(
        ask(
            &shared,
            "hello",
            r#"{"from_node": "w1@vm", "revoked": ["x"]}"#
        ),
        None
    );
    let answer = ask(
        &shared,
        "hello",
        r#"{"from_node": "w2@vm", "revoked": ["yours"], "revoked_stamps": {"order": ["9"]}}"#,
    )
    .unwrap();
    let answer = answer.as_map().unwrap();
    assert_eq!(
        repr::python(answer.get("revoked").unwrap()),
        "['mine', 'yours']"
    );
    assert_eq!(
        repr::python(answer.get("revoked_stamps").unwrap()),
        "{'customer': ['7', 'x'], 'order': ['9']}"
    );
    assert_eq!(answer.get("clock").unwrap().as_i64(), Some(1));
}

#[tokio::test]
async fn a_signal_that_is_none_changes_nothing() {
    let (shared, _commands) = office();
    for method in ["revoke", "terminate"] {
        let arguments = r#"{"task_id": "one", "terminate": true, "signal": "SIGNOPE"}"#;
        assert_eq!(
            text(asked(&shared, method, arguments).await),
            r#"{'error': 'AttributeError("module \'signal\' has no attribute \'SIGNOPE\'")'}"#
        );
    }
    assert!(known(&shared).is_empty());
}

/// S33.
#[tokio::test]
async fn what_is_too_long_to_be_remembered_is_refused() {
    let (shared, _commands) = office();
    let long = "x".repeat(256);
    for (method, arguments) in [
        ("revoke", format!(r#"{{"task_id": ["good", "{long}"]}}"#)),
        (
            "revoke_by_stamped_headers",
            format!(r#"{{"headers": {{"good": "1", "{long}": "2"}}}}"#),
        ),
        (
            "revoke_by_stamped_headers",
            format!(r#"{{"headers": {{"good": ["1", "{long}"]}}}}"#),
        ),
    ] {
        let answer = text(asked(&shared, method, &arguments).await);
        assert!(answer.contains("255 bytes at most"), "{answer}");
    }
    assert!(known(&shared).is_empty());
    assert!(shared.revoked.stamps(std::time::Instant::now()).is_empty());
}
