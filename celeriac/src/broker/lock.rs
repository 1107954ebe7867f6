//! A lock that one holder among all clients of a broker has.

use super::BoxFuture;

/// A lock that one holder among all clients of a broker has, as
/// [`Broker::lock`](super::Broker::lock) gives it out. Dropping it gives it back.
///
/// It is lost with the connection that it was taken on, and is not taken again by
/// itself: who lost it tries anew, as everybody else does.
pub trait Lock: Send + Sync {
    /// Tells whether it is held now. Costs next to nothing; ask it right before each
    /// thing that only the holder may do.
    ///
    /// False once the broker was not heard from for a while that is shorter than the
    /// broker takes to give up on this client, so that a holder which is cut off has
    /// stopped before there can be another one.
    fn is_held(&self) -> bool;

    /// Waits until it is lost.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and made again.
    fn lost(&self) -> BoxFuture<'_, ()>;
}
