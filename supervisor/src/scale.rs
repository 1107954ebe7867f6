//! Figures to scale by: how much work a set of queues has for how many places.
//!
//! [`Figures`] are pure; [`Scale`] makes them from what the board knows, and refuses where
//! it does not know enough; [`Demand`] says which queues somebody scales by, so that the
//! Survey reads them. [`ScalerServer`] answers KEDA.

mod demand;
mod figures;
mod metadata;
mod names;
mod reader;
mod scaler;
mod server;
mod wire;

pub(crate) use self::demand::{Demand, Watch};
pub(crate) use self::figures::{Backlog, Figures, Member};
pub(crate) use self::names::QueueSet;
pub(crate) use self::reader::{Scale, Unsure};
pub(crate) use self::server::ScalerServer;
