//! From a message that may run to its outcome.
//!
//! | step | module | kind |
//! |---|---|---|
//! | may it run now? | [`admit`] | pure |
//! | run it, within its limits | [`run`], [`code`] | I/O |
//! | what became of it? | [`decide`] | pure |
//! | what is stored, sent, settled, told? | [`report`], [`document`], [`workflow`], [`replace`], [`republish`] | pure |
//! | call what belongs to it here | [`hooks`], [`errback`] | I/O |
//! | say where it is in a trace | [`trace`] | pure |
//! | make it so | [`crate::backend`] | I/O |
//!
//! A run is a plain task of the work-stealing runtime, tracked in
//! [`Jobs`](crate::jobs::Jobs), not an actor. From start to end both cost the same
//! (measured: some 0.9 us), but an actor is bound to its arbiter's one thread, where user
//! code must not be, so a message to the runtime and one back would come on top.

pub(crate) mod admit;
pub(crate) mod code;
pub(crate) mod decide;
pub(crate) mod document;
pub(crate) mod errback;
pub(crate) mod hooks;
pub(crate) mod limits;
mod log;
pub(crate) mod outcome;
pub(crate) mod replace;
pub(crate) mod report;
pub(crate) mod republish;
pub(crate) mod run;
pub(crate) mod trace;
pub(crate) mod traceback;
pub(crate) mod workflow;

#[cfg(test)]
mod golden;
