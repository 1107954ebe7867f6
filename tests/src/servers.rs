//! The servers of a test run, as `./tests/run` names them in the environment.

use std::path::PathBuf;

/// Returns the URL of the run's RabbitMQ.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn amqp_url() -> String {
    variable("CELERIAC_TEST_AMQP_URL")
}

/// Returns the URL of the run's Redis.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn redis_url() -> String {
    variable("CELERIAC_TEST_REDIS_URL")
}

/// Returns the URL of RabbitMQ's management API, with user and password.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn rabbitmq_api() -> String {
    variable("CELERIAC_TEST_RABBITMQ_API")
}

/// Returns the folder of the built commands.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn binary_folder() -> PathBuf {
    variable("CELERIAC_TEST_BIN_DIR").into()
}

/// Returns the Python that has Celery.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn python() -> PathBuf {
    variable("CELERIAC_TEST_PYTHON").into()
}

/// Returns the folder where programs under test write their logs.
///
/// # Panics
///
/// When the test was not started by `./tests/run`.
pub fn log_folder() -> PathBuf {
    PathBuf::from(variable("CELERIAC_TEST_DIR")).join("log")
}

/// Runs the program that controls the run's RabbitMQ: `stop`, `start`, `restart`,
/// `close-connections`, `ctl ...`. Returns what it printed.
///
/// # Panics
///
/// When it fails, or the test was not started by `./tests/run`.
pub async fn rabbitmq_ctl(words: &[&str]) -> String {
    let program = variable("CELERIAC_TEST_RABBITMQ_CTL");
    let output = tokio::process::Command::new(&program)
        .args(words)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program} {words:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {words:?}: {}\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    printed
}

/// Makes a virtual host of the test's own on the run's RabbitMQ and returns its URL: only
/// the nodes of the test answer there.
///
/// # Panics
///
/// When it cannot be made.
pub async fn own_vhost() -> String {
    let mut url = url::Url::parse(&amqp_url()).unwrap_or_else(|error| panic!("{error}"));
    let name = format!("own-{}", uuid::Uuid::new_v4());
    let user = url.username().to_owned();
    rabbitmq_ctl(&["ctl", "--quiet", "add_vhost", &name]).await;
    let all = ".*";
    rabbitmq_ctl(&[
        "ctl",
        "--quiet",
        "set_permissions",
        "-p",
        &name,
        &user,
        all,
        all,
        all,
    ])
    .await;
    url.set_path(&name);
    url.into()
}

/// Returns an environment variable that `./tests/run` sets.
///
/// # Panics
///
/// When it is not set: a missing server fails a test, it does not skip it.
pub fn variable(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: start the tests with `./tests/run it`"),
    }
}
