//! Programs under test, as processes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::eventually::eventually;
use crate::network::{Host, Net};
use crate::{http, servers};

/// How long a program may take to end that has nothing to wait for.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A program under test. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    http: Option<String>,
    log: PathBuf,
}

impl Program {
    /// Starts a built binary; standard error goes to the run's log folder.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(binary: &str, name: &str, arguments: &[&str]) -> Self {
        let path = servers::binary_folder().join(binary);
        Self::launch(Command::new(path), name, arguments)
    }

    /// The same on a host of the run's network.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_on(host: &Host, binary: &str, name: &str, arguments: &[&str]) -> Self {
        // It becomes the program: the process that is started is the one that runs.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host.name()]);
        command.arg(servers::binary_folder().join(binary));
        Self::launch(command, name, arguments)
    }

    fn launch(mut command: Command, name: &str, arguments: &[&str]) -> Self {
        let log = servers::log_folder().join(format!("{name}.log"));
        let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            http: None,
            log,
        }
    }

    /// Starts a node of the test tasks on a queue and waits until it consumes.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn node(name: &str, broker: &str, backend: &str, more: &[&str]) -> Self {
        let node = Self::new_node(name, broker, backend, more);
        node.ready().await;
        node
    }

    /// Starts a node of the test tasks and does not wait for it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn new_node(name: &str, broker: &str, backend: &str, more: &[&str]) -> Self {
        let address = free_address();
        let arguments = node_arguments(name, broker, backend, &address, more);
        let mut node = Self::start("demo-node", name, &arguments);
        node.http = Some(address);
        node
    }

    /// Starts a node of the test tasks on a host and waits until it consumes.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn node_on(
        host: &Host,
        name: &str,
        broker: &str,
        backend: &str,
        more: &[&str],
    ) -> Self {
        let address = format!("{}:9590", host.address(Net::Look));
        let arguments = node_arguments(name, broker, backend, &address, more);
        let mut node = Self::start_on(host, "demo-node", name, &arguments);
        node.http = Some(address);
        node.ready().await;
        node
    }

    /// Starts a supervisor and waits until it hears events.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn supervisor(name: &str, broker: &str, backend: &str, more: &[&str]) -> Self {
        let address = free_address();
        let arguments = supervisor_arguments(broker, backend, &address, more);
        let mut supervisor = Self::start("celeriac", name, &arguments);
        supervisor.http = Some(address);
        supervisor.ready().await;
        supervisor
    }

    /// Starts a supervisor on a host and waits until it hears events.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn supervisor_on(
        host: &Host,
        name: &str,
        broker: &str,
        backend: &str,
        more: &[&str],
    ) -> Self {
        // Whoever is in the test's network may look.
        let address = format!("{}:9595", host.address(Net::Look));
        let mut arguments = supervisor_arguments(broker, backend, &address, more);
        arguments.extend(["--allow-anonymous", "true"]);
        let mut supervisor = Self::start_on(host, "celeriac", name, &arguments);
        supervisor.http = Some(address);
        supervisor.ready().await;
        supervisor
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Panics
    ///
    /// When it does not within the patience of the run.
    pub async fn ready(&self) {
        let address = self.http();
        eventually(
            &format!("{} is ready; see {}", self.name, self.log.display()),
            || async {
                let answer = http::get(address, "/readyz").await.ok()?;
                (answer.status == 200).then_some(())
            },
        )
        .await;
    }

    /// Returns the address of its HTTP server.
    ///
    /// # Panics
    ///
    /// When it was started without one.
    pub fn http(&self) -> &str {
        self.http
            .as_deref()
            .unwrap_or_else(|| panic!("{} has no http address", self.name))
    }

    /// Returns its process id, for as long as it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells whether the process that was started still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child
            .kill()
            .await
            .unwrap_or_else(|error| panic!("kill {}: {error}", self.name));
    }

    /// Starts a program as process 1 of a namespace of process ids, as in a container, and
    /// waits until it is ready. Its own process id is that of who made the namespace.
    ///
    /// # Panics
    ///
    /// When it does not become ready, or namespaces cannot be made.
    pub async fn first_process(
        binary: &str,
        name: &str,
        broker: &str,
        backend: &str,
        more: &[&str],
    ) -> Self {
        let path = servers::binary_folder().join(binary);
        let address = free_address();
        let path = path.to_str().unwrap();
        let mut words = vec!["--pid", "--fork", "--mount-proc", "--kill-child", path];
        words.extend([
            "node", "-b", broker, "-r", backend, "-n", name, "--http", &address,
        ]);
        words.extend(more);
        let mut program = Self::start("/usr/bin/unshare", name, &words);
        program.http = Some(address);
        program.ready().await;
        program
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When it has ended, or cannot be told.
    pub fn signal(&self, signal: &str) {
        let pid = self
            .child
            .id()
            .unwrap_or_else(|| panic!("{} has ended", self.name));
        let status = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -{signal} {}",
            self.name
        );
    }

    /// Waits for the end; returns the status.
    ///
    /// # Panics
    ///
    /// When it takes longer.
    pub async fn ended(&mut self, within: Duration) -> i32 {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(status)) => status.code().unwrap_or(-1),
            _ => panic!(
                "{} has not ended within {within:?}; see {}",
                self.name,
                self.log.display()
            ),
        }
    }

    /// Sends SIGTERM and waits for the end; returns the status.
    ///
    /// # Panics
    ///
    /// When it has ended, or does not within a minute.
    pub async fn terminate(&mut self) -> i32 {
        self.signal("TERM");
        self.ended(MINUTE).await
    }

    /// Returns what it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn node_arguments<'a>(
    name: &'a str,
    broker: &'a str,
    backend: &'a str,
    address: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let own = [
        "node", "-b", broker, "-r", backend, "-n", name, "--http", address,
    ];
    own.into_iter().chain(more.iter().copied()).collect()
}

fn supervisor_arguments<'a>(
    broker: &'a str,
    backend: &'a str,
    address: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let own = [
        "supervisor",
        "-b",
        broker,
        "-r",
        backend,
        "--listen",
        address,
    ];
    own.into_iter().chain(more.iter().copied()).collect()
}

/// Returns a loopback address that was free a moment ago.
///
/// # Panics
///
/// When there is none.
pub fn free_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    match listener.and_then(|listener| listener.local_addr()) {
        Ok(address) => address.to_string(),
        Err(error) => panic!("no free port: {error}"),
    }
}
