//! Kinds that Kubernetes itself does not have, as far as manifests use them.
//!
//! Each is written after the resource definition of its operator, and strict: a field that a
//! manifest uses and that is not here is either a mistake or to be added here.

pub(crate) mod duration;
pub(crate) mod gateway;
pub(crate) mod keda;
pub(crate) mod prometheus;
pub(crate) mod rabbitmq;

pub(crate) use duration::Duration;
