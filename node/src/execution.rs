//! From a message that may run to its outcome.
//!
//! | step | module | kind |
//! |---|---|---|
//! | may it run now? | [`admit`] | pure |
//! | run it, within its limits | [`run`] | I/O |
//! | what became of it? | [`decide`] | pure |
//! | what is stored, sent, settled, told? | [`report`], [`workflow`], [`republish`] | pure |
//! | make it so | [`crate::backend`] | I/O |
//!
//! A run is a plain task of the work-stealing runtime, tracked in
//! [`Jobs`](crate::jobs::Jobs), not an actor.

pub(crate) mod admit;
pub(crate) mod decide;
pub(crate) mod limits;
pub(crate) mod outcome;
pub(crate) mod report;
pub(crate) mod republish;
pub(crate) mod run;
pub(crate) mod traceback;
pub(crate) mod workflow;
