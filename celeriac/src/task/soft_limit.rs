//! The soft time limit as an error.

/// The soft time limit has passed: what [`Context::within_soft_limit`] and
/// [`Context::check_soft_limit`] say. A task that hands it on by `?` fails with Celery's
/// `SoftTimeLimitExceeded`.
///
/// [`Context::within_soft_limit`]: super::Context::within_soft_limit
/// [`Context::check_soft_limit`]: super::Context::check_soft_limit
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("task ran into its soft time limit")]
pub struct SoftTimeLimitExceeded;
