//! Ticks and the node that runs them.

use redis::AsyncCommands as _;

use super::*;

/// What ran: the id of each task whose body ran, in order.
struct Runs {
    redis: redis::aio::MultiplexedConnection,
    key: String,
}

impl Runs {
    async fn of(run: &str) -> Self {
        let client = redis::Client::open(servers::redis_url()).unwrap();
        Self {
            redis: client.get_multiplexed_async_connection().await.unwrap(),
            key: format!("workflow:{run}"),
        }
    }

    async fn ids(&self) -> Vec<String> {
        let mut redis = self.redis.clone();
        let records: Vec<String> = redis.lrange(&self.key, 0, -1).await.unwrap();
        let id = |record: &String| {
            let record: Value = serde_json::from_str(record).unwrap();
            record["id"].as_str().unwrap().to_owned()
        };
        records.iter().map(id).collect()
    }

    /// Waits until a number of bodies ran.
    async fn at_least(&self, count: usize) {
        eventually(&format!("{count} ticks ran"), || async {
            (self.ids().await.len() >= count).then_some(())
        })
        .await;
    }
}

/// S41, S42, S43: leaders are killed while a node runs their ticks: each tick's body runs once,
/// and each ran.
#[tokio::test(flavor = "multi_thread")]
async fn each_tick_runs_once_while_leaders_die() {
    let scene = Scene::new("once", servers::own_vhost().await);
    let (queue, redis) = (scene.queue.clone(), servers::redis_url());
    scene.write(&format!(
        "[[schedule]]\nname = \"{queue}\"\ntask = \"workflow.step\"\n\
         args = [\"\", \"tick\", \"{queue}\"]\nevery = \"1s\"\nmisfire = \"all(1000)\"\n\
         queue = \"{queue}\"\n"
    ));
    let name = format!("n@{queue}");
    let mut node = Program::node(&name, &scene.amqp, &redis, &["-Q", &queue]).await;
    let runs = Runs::of(&queue).await;
    let store = scene.store("shared.db");
    let mut all = vec![
        scene.supervisor(0, &store).await,
        scene.supervisor(1, &store).await,
    ];
    let began = seconds(celeriac::clock::now());
    for round in 0..4 {
        runs.at_least(runs.ids().await.len() + 2).await;
        let at = leading(&all).await;
        all[at].kill().await;
        runs.at_least(runs.ids().await.len() + 2).await;
        all[at] = scene.supervisor(10 + 2 * round + at, &store).await;
    }
    runs.at_least(runs.ids().await.len() + 2).await;
    for supervisor in &mut all {
        assert_eq!(supervisor.terminate().await, 0, "{}", supervisor.log());
    }
    let ended = seconds(celeriac::clock::now());

    let tick = |second| {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        celeriac::schedule::tick_id(&queue, at).to_string()
    };
    let of: BTreeMap<String, u64> = (began - 60..=ended).map(|s| (tick(s), s)).collect();
    let ran = |ids: &[String]| ids.iter().map(|id| of[id]).collect::<Vec<_>>();
    // The last may still be with the node.
    eventually("no tick is lost", || async {
        let mut ran = ran(&runs.ids().await);
        ran.sort_unstable();
        ran.dedup();
        let whole = ran.last()? - ran.first()? + 1 == ran.len() as u64;
        whole.then_some(())
    })
    .await;
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    let mut ran = ran(&runs.ids().await);
    let count = ran.len();
    ran.sort_unstable();
    ran.dedup();
    assert_eq!(ran.len(), count, "a body ran twice");
    println!("{count} ticks ran once, 4 leaders died");
}
