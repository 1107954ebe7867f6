//! `celeriac beat` as a process of its own.

use super::*;

impl Scene {
    /// Starts `celeriac beat` without HTTP, with flags of Celery's.
    fn beat(&self, number: usize) -> Program {
        let settings = self.settings.display().to_string();
        let store = self.store("beat.db");
        let name = format!("{}-beat-{number}", self.queue);
        let line = [
            "beat",
            "-b",
            &self.amqp,
            "-r",
            "disabled://",
            "--config",
            &settings,
            "--schedule",
            &store,
            "--max-interval",
            "60",
        ];
        Program::start("celeriac", &name, &line)
    }
}

/// S42: a beat that is stopped in order and started again sends no tick twice; what it missed
/// by more than 5 s is sent under `all`, and is not under `skip`.
#[tokio::test(flavor = "multi_thread")]
async fn a_beat_that_is_started_again_goes_on_where_it_stopped() {
    let scene = Scene::new("alone", servers::own_vhost().await);
    let skipping = format!("{}-skip", scene.queue);
    scene.add_entry(&format!(
        "name = \"{skipping}\"\ntask = \"celeriac.add\"\nargs = [1, 2]\nevery = \"1s\"\n\
         misfire = \"skip\"\nqueue = \"{skipping}\"\n"
    ));
    let app = scene.app();
    let mut all = scene.consumer(&app).await;
    let mut some = consumer_of(&app, &skipping).await;
    let (mut sent, mut skipped) = (Ticks::default(), Ticks::default());

    let mut beat = scene.beat(0);
    sent.until(&mut all, 0).await;
    sent.until(&mut all, sent.last() + 2).await;
    assert_eq!(beat.terminate().await, 0, "{}", beat.log());
    let stopped = seconds(celeriac::clock::now());
    eventually("ticks are missed", || async {
        (seconds(celeriac::clock::now()) >= stopped + 9).then_some(())
    })
    .await;
    let started = seconds(celeriac::clock::now());
    let mut beat = scene.beat(1);
    sent.until(&mut all, started + 2).await;
    skipped.until(&mut some, started + 2).await;
    assert_eq!(beat.terminate().await, 0, "{}", beat.log());

    sent.assert_whole();
    assert_eq!(sent.twice(), 0, "{:?}", sent.counts);
    assert_eq!(skipped.twice(), 0, "{:?}", skipped.counts);
    let missed = stopped + 1..started - 5;
    assert!(missed.clone().count() > 1);
    for second in missed {
        assert!(
            !skipped.counts.contains_key(&second),
            "{second}: {skipped:?}"
        );
    }
    app.close().await;
}

/// A flag of Celery's that cannot be kept is refused before anything starts.
#[tokio::test]
async fn a_shorter_max_interval_is_refused() {
    let output = crate::cli::celeriac(&["beat", "-b", "memory://", "--max-interval", "0.1"]).await;
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("--max-interval: expected 1s or more"),
        "{said}"
    );
}
