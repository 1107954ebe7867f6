//! What the API shows, apart from how the model keeps it.

pub(in crate::http) mod moment;
mod node;
mod queue;
mod step;
mod task;

pub(in crate::http) use self::node::NodeView;
pub(in crate::http) use self::queue::QueueView;
pub(in crate::http) use self::step::StepView;
pub(in crate::http) use self::task::TaskView;
