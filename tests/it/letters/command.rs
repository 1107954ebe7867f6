//! Dead letters on the command line.

use std::process::Output;

use tokio::process::Command;

use super::*;

impl Rig {
    async fn celeriac(&self, arguments: &[&str]) -> Output {
        let run = Command::new(servers::binary_folder().join("celeriac"))
            .arg("letters")
            .args(arguments)
            .args(["--api", &format!("http://{}", self.supervisor.http())])
            .stdin(std::process::Stdio::null())
            .output();
        tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap()
    }

    async fn json(&self, arguments: &[&str]) -> Json {
        let output = self.celeriac(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", err(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// S46: letters are found, shown, edited and sent again, and discarded; what is wrong is
/// named and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn letters_are_looked_at_sent_again_and_discarded() {
    let rig = Rig::start(&[]).await;
    let mut node = rig.node().await;
    let app = &rig.app;
    let add = app.call::<i64>("demo.add").arg("two").arg(3);
    let sum = add.send(app).await.unwrap().id().to_owned();
    let fail = app.call::<Value>("demo.fail").arg("oh \u{1b}[2J no");
    fail.send(app).await.unwrap();
    app.call::<Value>("demo.nowhere").send(app).await.unwrap();
    eventually_within(PATIENCE, "three letters are kept", || async {
        (rig.get("/api/v1/letters").await["matching"] == 3).then_some(())
    })
    .await;

    let listed = rig.celeriac(&["list"]).await;
    let table = out(&listed);
    assert!(
        table.starts_with("ID ") && table.ends_with("3 of 3"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "{table}");
    assert!(out(&rig.celeriac(&["list", "--limit", "1"]).await).ends_with("1 of 3"));
    for (filter, count) in [
        (["--reason", "failed"], 2),
        (["--name", "demo.?????"], 0),
        (["--name", "demo.f*"], 1),
        (["--of-queue", QUEUE], 3),
        (["--of-queue", "other"], 0),
        (["--task", &sum], 1),
        (["--error", "EXPECTED i64"], 1),
        (["--arguments", "two"], 1),
        (["--since", "2020-01-01T00:00:00Z"], 3),
        (["--until", "2020-01-01T00:00:00Z"], 0),
        (["--state", "replayed"], 0),
        (["--state", "all"], 3),
    ] {
        let page = rig.json(&[&["list", "--json"], &filter[..]].concat()).await;
        assert_eq!(page["matching"], count, "{filter:?}");
    }
    let found = rig.json(&["list", "--json", "--task", &sum]).await;
    let id = text(&found["letters"][0], "id").to_owned();
    let id = id.as_str();
    let shown = out(&rig.celeriac(&["show", id]).await);
    for line in ["reason: failed", "args: [\"two\", 3]", "traceback:\n"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(rig.json(&["show", id, "--json"]).await["task_id"], sum);

    let filled = format!("{id}/replay");
    for (arguments, status, said) in [
        (
            &["list", "--reason", "dead"][..],
            1,
            "reason: expected one of: failed",
        ),
        (
            &["list", "--since", "noon"],
            1,
            "since: expected a time such as",
        ),
        (
            &["list", "--state", "odd"],
            1,
            "state: expected kept, replayed",
        ),
        (&["list", "--limit", "0"], 64, "1..=1000"),
        (&["show", "nothing"], 1, "no dead letter 'nothing'"),
        (&["show", &filled], 1, "no dead letter"),
        (&["replay", "nothing"], 1, "no dead letter 'nothing'"),
        (&["replay"], 64, "an option such as --name"),
        (&["replay", id, "--name", "*"], 64, "cannot be used with"),
        (
            &["replay", id, "--set-args", "[2,"],
            64,
            "--set-args: expected JSON",
        ),
        (
            &["replay", id, "--set-args", "{\"a\": 1}"],
            1,
            "args: expected",
        ),
        (
            &["replay", id, "--set-kwargs", "[1]"],
            1,
            "kwargs: expected",
        ),
        (&["replay", id, "--to", "nobody.has.it"], 1, "nobody.has.it"),
        (
            &["replay", "--name", "*"],
            64,
            "replay 3 dead letters? say --yes",
        ),
        (&["replay", "--set-args", "[]"], 64, "ID"),
        (&["discard"], 64, "an option such as --name"),
        (&["discard", id], 64, "say --yes"),
        (
            &["discard", "nothing", "--yes"],
            1,
            "no dead letter 'nothing'",
        ),
        (
            &["discard", "--reason", "dead", "--yes"],
            1,
            "reason: expected",
        ),
    ] {
        let output = rig.celeriac(arguments).await;
        let error = err(&output);
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert_eq!(out(&output), "", "{arguments:?}");
    }
    assert_eq!(rig.get("/api/v1/letters").await["matching"], 3);

    let replayed = rig.celeriac(&["replay", id, "--set-args", "[2, 3]"]).await;
    assert_eq!(
        out(&replayed),
        format!("{sum} was sent again"),
        "{}",
        err(&replayed)
    );
    eventually("the replay succeeds", || async {
        let task = app.result::<i64>(sum.clone());
        task.get(PATIENCE).await.ok().filter(|sum| *sum == 5)
    })
    .await;
    let again = rig.celeriac(&["replay", id]).await;
    assert!(err(&again).contains("was replayed by"), "{}", err(&again));

    // Nobody has the queue: what cannot be sent stays, and that is a failure.
    let many = [
        "replay",
        "--name",
        "*",
        "--to",
        "nobody.has.it",
        "--yes",
        "--json",
    ];
    let output = rig.celeriac(&many).await;
    let total: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&total["done"], &total["failed"]),
        (&json!(0), &json!(2)),
        "{total}"
    );
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(
        err(&output).contains("2 dead letters could not be sent again"),
        "{}",
        err(&output)
    );

    let elsewhere = Topology {
        queues: vec![Queue::new("elsewhere")],
        ..Topology::default()
    };
    app.broker().declare(&elsewhere).await.unwrap();
    let sent = ["replay", "--name", "demo.f*", "--to", "elsewhere", "--yes"];
    let sent = rig.celeriac(&sent).await;
    assert_eq!(out(&sent), "1 dead letter sent again", "{}", err(&sent));
    assert_eq!(rig.ready("elsewhere").await, 1);
    let gone = rig.celeriac(&["discard", "--of-queue", QUEUE, "-y"]).await;
    assert_eq!(out(&gone), "1 dead letter discarded", "{}", err(&gone));
    let found = rig.json(&["list", "--json", "--state", "discarded"]).await;
    let id = text(&found["letters"][0], "id");
    let again = rig.celeriac(&["discard", id, "--yes"]).await;
    assert!(
        err(&again).contains("was discarded already"),
        "{}",
        err(&again)
    );
    let none = rig.celeriac(&["replay", "--name", "*"]).await;
    assert_eq!(out(&none), "0 dead letters sent again", "{}", err(&none));
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}
