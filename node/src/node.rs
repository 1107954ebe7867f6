//! The root: starts the parts, restarts those that die, and ends them in order.

mod children;
mod root;
mod stop;
mod work;

use std::sync::Arc;

use celeriac::{App, Error, Result};
use tokio::sync::{mpsc, oneshot};

use self::root::Root;
use self::work::Work;
use crate::config::Config;
use crate::guardian::BUDGET;
use crate::handle::Handle;
use crate::health::{Bound, Health};
use crate::isolation;
use crate::revoked::file::StateFile;
use crate::shared::{Command, Shared};
use crate::shutdown::{Shutdown, Stopped, Wish};

/// So many requests to the root wait at most.
const COMMANDS: usize = 64;

/// A worker node: takes tasks from queues and runs them.
///
/// It has threads of its own: one for its actors, which only keep books, and a
/// work-stealing runtime for the tasks. The caller keeps sockets, signals and exit codes.
///
/// # Example
///
/// ```
/// use celeriac::{App, task};
/// use celeriac_node::{Config, Node, Shutdown};
///
/// #[task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> celeriac::Result<()> {
/// let app = App::builder("demo").task(add).build()?;
/// let node = Node::new(app.clone(), Config { concurrency: 2, ..Config::default() })?;
/// let (handle, shutdown) = (node.handle(), Shutdown::new());
/// let running = tokio::spawn(node.run(shutdown.clone()));
///
/// assert!(handle.wait_ready().await);
/// add.call(2, 3).send(&app).await?;
///
/// shutdown.drain();
/// println!("{}", running.await.expect("a node does not panic")?);
/// app.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Node {
    shared: Arc<Shared>,
    work: Work,
    commands: mpsc::Receiver<Command>,
    http: Option<Bound>,
}

impl Node {
    /// Makes a node that has not started.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that cannot work, such as an HTTP address that is
    /// in use; [`Error::Unavailable`] when the system gives no threads.
    pub fn new(app: App, config: Config) -> Result<Self> {
        // Whoever looks after an isolated task's process would not look after its node.
        if isolation::is_marked() {
            let expected = format!(
                "celeriac_node::isolation::enter called first in main, and no node in an \
                 isolated task (one that shall outlive it is started without {})",
                isolation::VARIABLE
            );
            let found = "a node in a process that was started for isolated tasks";
            return Err(Error::invalid("process", expected, found));
        }
        config.check()?;
        for queue in &config.queues {
            app.queues().get(queue)?;
        }
        let http = config.http.map(Bound::new).transpose()?;
        let work = Work::new(config.threads())?;
        let (send, commands) = mpsc::channel(COMMANDS);
        let shared = Shared::new(app, config, work.handle().clone(), send);
        if let Some(path) = &shared.config.state_db {
            // The node is new, so there is no other file.
            let _ = shared.state_file.set(StateFile::open(path, &shared)?);
        }
        Ok(Self {
            shared,
            work,
            commands,
            http,
        })
    }

    /// Returns a view of the node, good for its whole life and after.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Runs the node until it is told to stop, or a part of it fails again and again.
    ///
    /// The app stays open, as others may use it: who made it closes it afterwards
    /// ([`App::close`]), so that no acknowledgement stays behind.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the system gives no thread.
    ///
    /// # Cancel safety
    ///
    /// A dropped future stops the node without waiting; its threads end soon after.
    ///
    /// # Delivery guarantee
    ///
    /// What was taken from the broker is finished or given back. What runs when the
    /// process dies is delivered again by the broker.
    pub async fn run(self, shutdown: Shutdown) -> Result<Stopped> {
        let Self {
            shared,
            work,
            commands,
            http,
        } = self;
        let health = Health::start(Arc::clone(&shared), http)?;
        let (tell, told) = oneshot::channel();
        let own = shared.shutdown.clone();
        let thread = std::thread::Builder::new().name("celeriac-node".to_owned());
        thread
            .spawn(move || {
                let system = actix::System::new();
                let stopped = system.block_on(Root::run(shared, commands, BUDGET));
                drop(health);
                // Threads of lost tasks are not waited for.
                drop(work);
                // Nobody hears it when the caller has dropped the run.
                let _ = tell.send(stopped);
            })
            .map_err(|error| Error::unavailable("thread", error))?;
        let _guard = StopOnDrop(own.clone());
        let follow = async {
            shutdown.wished(Wish::Drain).await;
            own.at_least(Wish::Drain);
            shutdown.wished(Wish::Now).await;
            own.at_least(Wish::Now);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            stopped = told => stopped.map_err(|_| Error::Closed("node")),
            () = follow => Err(Error::Closed("node")),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// Stops the node when its run is dropped.
struct StopOnDrop(Shutdown);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop_now();
    }
}
