//! Edits of schedules: on the command line, where they are refused, and without a store.

use super::*;
use crate::cli::celeriac;

/// What a command said, on standard output; it must end with a status.
async fn say(api: &str, line: &[&str], status: i32) -> String {
    let line = [&["schedules", "--api", api], line].concat();
    let output = celeriac(&line).await;
    assert_eq!(output.status.code(), Some(status), "{line:?}: {output:?}");
    let text = if status == 0 {
        output.stdout
    } else {
        output.stderr
    };
    String::from_utf8_lossy(&text).trim().to_owned()
}

async fn post(supervisor: &Program, body: &Value) -> http::Answer {
    http::post(supervisor.http(), "/api/v1/schedules", body)
        .await
        .unwrap()
}

/// A person makes, reads, changes, switches, runs and removes a schedule on the command line.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_edits_schedules() {
    let scene = Scene::new("cli", servers::own_vhost().await);
    let supervisor = scene.supervisor(0, "memory:").await;
    leading(std::slice::from_ref(&supervisor)).await;
    let api = format!("http://{}", supervisor.http());
    let (api, name) = (api.as_str(), "night / 1");

    let line = [
        "add",
        name,
        "celeriac.add",
        "--crontab",
        "30 3 * * mon-fri",
        "--zone",
        "Europe/Berlin",
        "--args",
        "[1, 2]",
        "--queue",
        &scene.queue,
        "--set",
        "priority=5",
    ];
    let made = say(api, &line, 0).await;
    assert!(made.starts_with("night / 1: "), "{made}");
    assert!(say(api, &line, 1).await.contains("409"));
    let listed = say(api, &["list"], 0).await;
    assert!(listed.starts_with("NAME") && listed.contains(name) && listed.contains(&scene.queue));
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let all = json(say(api, &["list", "--json"], 0).await);
    assert_eq!(all["schedules"].as_array().unwrap().len(), 2, "{all}");
    let shown = json(say(api, &["show", name, "--json"], 0).await);
    assert_eq!(shown["entry"]["priority"], json!(5), "{shown}");
    assert!(say(api, &["show", name], 0).await.contains("origin: api"));

    let revision = shown["revision"].as_i64().unwrap().to_string();
    let edit = [
        "edit",
        name,
        "--every",
        "6h",
        "--unset",
        "queue",
        "--revision",
        &revision,
    ];
    assert!(say(api, &edit, 0).await.contains("every 6h"));
    assert!(say(api, &edit, 1).await.contains("revision: expected"));
    let shown = json(say(api, &["show", name, "--json"], 0).await);
    assert_eq!(shown["entry"]["queue"], Value::Null, "{shown}");
    let next = say(api, &["next", name, "--count", "3"], 0).await;
    assert_eq!(next.lines().count(), 3, "{next}");

    let wrong = say(api, &["edit", name, "--crontab", "61 * * * *"], 1).await;
    assert!(wrong.contains("crontab: expected"), "{wrong}");
    let wrong = say(
        api,
        &["add", "x", "y", "--every", "1s", "--zone", "Mars/One"],
        1,
    )
    .await;
    assert!(wrong.contains("zone: expected"), "{wrong}");
    let wrong = say(
        api,
        &["add", "x", "y", "--every", "1s", "--set", "colour=red"],
        1,
    )
    .await;
    assert!(wrong.contains("colour"), "{wrong}");
    assert!(say(api, &["show", "x"], 1).await.contains("404"));
    assert!(
        say(api, &["edit", name], 64)
            .await
            .contains("what to change")
    );
    let same = json(say(api, &["show", name, "--json"], 0).await);
    assert_eq!(same["entry"], shown["entry"], "nothing was changed");

    assert!(say(api, &["disable", name], 0).await.contains("disabled"));
    assert!(say(api, &["list"], 0).await.contains("disabled"));
    assert!(say(api, &["enable", name], 0).await.contains("next 2"));
    let id = say(api, &["run", name], 0).await;
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
    assert!(say(api, &["remove", name], 64).await.contains("--yes"));
    assert_eq!(
        say(api, &["remove", name, "--yes"], 0).await,
        "night / 1 is removed"
    );
    assert!(say(api, &["show", name], 1).await.contains("404"));
    let configured = say(api, &["remove", &scene.queue, "--yes"], 1).await;
    assert!(configured.contains("configuration"), "{configured}");
}

/// A supervisor with a store of its own that does not lead changes nothing, and says who does.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_lead_names_the_leader() {
    let scene = Scene::new("apart-edit", servers::own_vhost().await);
    let all = [
        scene.supervisor(0, &scene.store("first.db")).await,
        scene.supervisor(1, &scene.store("second.db")).await,
    ];
    let at = leading(&all).await;
    let (leads, follows) = (&all[at], &all[1 - at]);
    let me = leader(leads).await["me"].as_str().unwrap().to_owned();
    let name = format!("{}-api", scene.queue);
    let body = json!({ "name": name, "task": "celeriac.add", "every": "1h" });
    let refused = eventually("the leader is known", || async {
        let answer = post(follows, &body).await;
        assert!([409, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 409).then_some(answer)
    })
    .await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("on the leader, {me}")), "{detail}");
    let path = format!("/api/v1/schedules/{}", scene.queue);
    let switch = Some(r#"{"enabled": false}"#);
    let switched = http::request(follows.http(), "PATCH", &path, switch).await;
    assert_eq!(switched.unwrap().status, 409);
    let configured = http::get(leads.http(), &path).await.unwrap();
    assert_eq!(configured.json()["enabled"], json!(true));
    let path = format!("/api/v1/schedules/{name}");
    assert_eq!(http::get(leads.http(), &path).await.unwrap().status, 404);
    assert_eq!(post(leads, &body).await.status, 201);
}

/// S42: while the store's file is read-only ticks go on and edits are refused; once it can be
/// written again both are stored, and a new process sends nothing twice.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_stops_edits_and_no_tick() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new("readonly", servers::own_vhost().await);
    let store = scene.store("one.db");
    let permit = |mode| {
        std::fs::set_permissions(&store, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let app = scene.app();
    let mut consumer = scene.consumer(&app).await;
    let mut supervisor = scene.supervisor(0, &store).await;
    let mut ticks = Ticks::default();
    ticks.until(&mut consumer, 1).await;
    permit(0o444);
    ticks.until(&mut consumer, ticks.last() + 3).await;
    let name = format!("{}-api", scene.queue);
    let body = json!({ "name": name, "task": "celeriac.add", "every": "1h" });
    let refused = post(&supervisor, &body).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("read-only"), "{refused:?}");
    permit(0o644);
    eventually("edits are taken again", || async {
        (post(&supervisor, &body).await.status == 201).then_some(())
    })
    .await;
    ticks.until(&mut consumer, ticks.last() + 2).await;
    assert_eq!(supervisor.terminate().await, 0, "{}", supervisor.log());
    let supervisor = scene.supervisor(1, &store).await;
    ticks
        .until(&mut consumer, seconds(celeriac::clock::now()))
        .await;
    ticks.assert_whole();
    assert_eq!(ticks.twice(), 0, "{:?}", ticks.counts);
    let path = format!("/api/v1/schedules/{name}");
    let kept = http::get(supervisor.http(), &path).await.unwrap();
    assert_eq!(kept.status, 200, "{kept:?}");
    app.close().await;
}
