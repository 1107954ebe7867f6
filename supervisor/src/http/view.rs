//! What the API shows, apart from how the model keeps it.

pub(in crate::http) mod moment;
mod node;
mod queue;
mod task;

pub(in crate::http) use self::node::NodeView;
pub(in crate::http) use self::queue::{Consumers, QueueView};
pub(in crate::http) use self::task::TaskView;
