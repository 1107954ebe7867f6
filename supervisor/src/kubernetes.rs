//! The API server of Kubernetes, asked as the service account of the pod that this is.
//!
//! | part | does |
//! |---|---|
//! | `cluster` | finds the API server and the service account |
//! | `client` | asks, within bounds of time and size, trusting the cluster's authority alone |
//! | `collection` | reads and writes the objects of one kind in one namespace |
//! | `failure` | says why a request failed, and what to do about it |
//! | `selector` | picks objects by their labels |

mod client;
mod cluster;
mod collection;
mod failure;
#[cfg(test)]
pub(crate) mod fake;
mod selector;

pub(crate) use self::client::Client;
pub(crate) use self::cluster::Cluster;
pub(crate) use self::collection::{Collection, Kind, Part};
pub(crate) use self::failure::Failure;
pub(crate) use self::selector::Selector;

#[cfg(test)]
pub(crate) mod tests;
