//! Why the store did not do what it was asked to.

/// Why the store did not do what it was asked to.
///
/// Unless it is [`StoreError::Unknown`], nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The text that says where the store is cannot be used.
    #[error("expected {expected}, found '{found}'")]
    Place {
        expected: &'static str,
        found: String,
    },
    /// The store cannot be reached or used now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store's server does not let us in.
    #[error("the store refuses the connection: {0}")]
    Denied(String),
    /// The store can be read but not written.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The disk is full.
    #[error("the store has no room: {0}; free some, or keep less history")]
    Full(String),
    /// The statement was stopped at its deadline, or never got its turn before it.
    #[error("the store took longer than {}", shown(.0))]
    TooLong(std::time::Duration),
    /// The answer of a commit was lost: it may have been done, or not.
    #[error("the store's answer was lost: {0}")]
    Unknown(String),
    /// A guarded statement changed no row, so the whole transaction was taken back.
    #[error("statement {0} of the transaction found nothing to change")]
    Unmet(usize),
    /// A row that must be unique is there already.
    #[error("it is there already: {0}")]
    Conflict(String),
    /// The statement itself, or a value in it, is refused.
    #[error("the store refused a statement: {0}")]
    Refused(String),
    /// The store was written by a newer celeriac.
    #[error(
        "the store has schema {found}, and this celeriac knows {known} at most; run the newer \
         celeriac that wrote it, or name another store"
    )]
    Newer { found: i64, known: i64 },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

fn shown(span: &std::time::Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

impl StoreError {
    pub(super) fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable(reason.to_string())
    }

    /// Whether the same call may succeed later without any change to it.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Denied(_)
                | Self::ReadOnly(_)
                | Self::Full(_)
                | Self::TooLong(_)
                | Self::Unknown(_)
        )
    }
}
