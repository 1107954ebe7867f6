//! A RabbitMQ of a test's own, to be stopped and started.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

/// A RabbitMQ of a test's own. The run ends it when the test does not.
#[derive(Debug)]
pub struct PrivateRabbit {
    home: PathBuf,
    control: PathBuf,
    url: String,
}

impl PrivateRabbit {
    /// Starts one (about 6 s).
    ///
    /// # Panics
    ///
    /// When it does not start, or outside of `./tests/run`.
    pub async fn create() -> Self {
        let control = PathBuf::from(crate::servers::variable("CELERIAC_TEST_RABBITMQ_CTL"));
        let home = PathBuf::from(crate::servers::variable("CELERIAC_TEST_DIR"))
            .join(format!("rabbit-{}", uuid::Uuid::new_v4()));
        let mut rabbit = Self {
            home,
            control,
            url: String::new(),
        };
        rabbit.run("create").await;
        let urls = rabbit.home.join("urls");
        let text = std::fs::read_to_string(&urls)
            .unwrap_or_else(|error| panic!("{}: {error}", urls.display()));
        rabbit.url = text
            .lines()
            .flat_map(|line| line.split(['=', ' ', '"', '\'']))
            .find(|word| word.starts_with("amqp://"))
            .unwrap_or_else(|| panic!("expected an amqp url in {}, found {text}", urls.display()))
            .to_owned();
        rabbit
    }

    /// Returns its URL, the same after a restart.
    pub fn amqp_url(&self) -> String {
        self.url.clone()
    }

    /// Shuts it down in order.
    pub async fn stop(&self) {
        self.run("stop").await;
    }

    /// Ends it as a power cut would.
    pub async fn kill(&self) {
        self.run("kill").await;
    }

    /// Starts it again with its data.
    pub async fn start(&self) {
        self.run("start").await;
    }

    /// Closes every client's connection.
    pub async fn close_connections(&self) {
        self.run("close-connections").await;
    }

    /// Ends it and removes its data.
    pub async fn destroy(self) {
        self.run("destroy").await;
    }

    async fn run(&self, word: &str) {
        let status = Command::new(&self.control)
            .arg(word)
            .env("CELERIAC_TEST_RABBITMQ_HOME", &self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await;
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "rabbitmq {word}: {status:?}"
        );
    }
}
