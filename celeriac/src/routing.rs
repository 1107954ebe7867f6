//! Which queue a call goes to, and what that queue is.
//!
//! A [`TaskQueue`] describes a queue and the exchange before it; producers and nodes declare
//! the same. [`Routes`] say to which queue or exchange a task goes when its call does not.
//! What is more particular wins: the call's own options, then the task's, then the first
//! route that fits, then the default queue.
//!
//! # Example
//!
//! ```
//! use celeriac::App;
//! use celeriac::broker::ExchangeKind;
//! use celeriac::routing::{Route, TaskQueue};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> celeriac::Result<()> {
//! let app = App::builder("shop")
//!     .queue(TaskQueue::new("urgent").max_priority(10))
//!     .queue(TaskQueue::new("media").exchange("media", ExchangeKind::Topic).routing_key("media.#"))
//!     .queue(TaskQueue::broadcast("reload"))
//!     .route("cache.clear", Route::queue("reload"))
//!     .route("video.*", Route::queue("media").routing_key("media.video"))
//!     .route_regex(r"(image|photo)\..*", Route::queue("media").routing_key("media.image"))
//!     .route_with(|call| call.task.starts_with("pay.").then(|| Route::queue("urgent").priority(9)))
//!     .build()?;
//! # drop(app);
//! # Ok(())
//! # }
//! ```

mod queue;
mod queues;
mod route;
mod rules;

pub use self::queue::{QueueType, TaskQueue};
pub use self::queues::Queues;
pub use self::route::{Route, RouteRequest};
pub use self::rules::Routes;

/// Where calls go: the rules, and the queues that they lead to.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// From tasks to routes.
    pub routes: Routes,
    /// What is known of queues.
    pub queues: Queues,
}
