//! Where a database of SQLite is, and whether it is still there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{ErrorCode, OpenFlags};

use crate::store::error::StoreError;

/// What tells a file from another one of the same path: device and number.
pub(super) type Identity = (u64, u64);

/// Where the database is.
#[derive(Debug, Clone)]
pub(in crate::store::sqlite) enum Source {
    File(PathBuf),
    /// A name that the connections of this store share, and nobody else.
    Memory(String),
}

impl Source {
    pub(in crate::store::sqlite) fn memory() -> Self {
        Self::Memory(format!("celeriac-{}", uuid::Uuid::new_v4()))
    }

    pub(super) fn open(&self) -> Result<rusqlite::Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = match self {
            Self::File(path) => rusqlite::Connection::open_with_flags(path, flags),
            Self::Memory(name) => rusqlite::Connection::open_with_flags(
                format!("file:/{name}?vfs=memdb"),
                flags | OpenFlags::SQLITE_OPEN_URI,
            ),
        };
        opened.map_err(|error| self.failure(&error, Duration::ZERO))
    }

    /// Makes the file and its directory, readable for their owner alone: arguments and
    /// results may be confidential.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let Self::File(path) = self else {
            return Ok(());
        };
        create(path).map_err(|error| match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                StoreError::ReadOnly(format!("{}: {error}", path.display()))
            }
            _ => StoreError::Unavailable(format!("{}: {error}", path.display())),
        })
    }

    /// Returns which file is at the path now.
    pub(super) fn identity(&self) -> Option<Identity> {
        let Self::File(path) = self else {
            return None;
        };
        identity(&fs::metadata(path).ok()?)
    }

    /// Finds what SQLite would not: it writes on into a file that was made read-only, and
    /// into one that was deleted or that another one took the place of.
    ///
    /// The new one is not opened. Its log has the name of the old one's, which the other
    /// connections, and those of other processes, still use: SQLite would play one file's
    /// log into the other.
    pub(super) fn check(&self, opened: Option<Identity>) -> Result<(), StoreError> {
        let Self::File(path) = self else {
            return Ok(());
        };
        match fs::metadata(path) {
            Ok(file) if identity(&file) != opened => Err(StoreError::Unavailable(format!(
                "{} is another file than the one that was opened; put that one back, or \
                 restart to use this one",
                path.display()
            ))),
            Ok(file) if file.permissions().readonly() => Err(StoreError::ReadOnly(format!(
                "{} may not be written; give the write permission back",
                path.display()
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Unavailable(format!(
                "{}: {error}; put the file back, or restart for a new one",
                path.display()
            ))),
        }
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory(_) => "memory".to_owned(),
        }
    }

    pub(super) fn failure(&self, error: &rusqlite::Error, within: Duration) -> StoreError {
        let text = format!("{}: {error}", self.shown());
        let Some(code) = error.sqlite_error_code() else {
            return StoreError::Refused(text);
        };
        match code {
            ErrorCode::OperationInterrupted => StoreError::TooLong(within),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreError::ReadOnly(text),
            ErrorCode::DiskFull => StoreError::Full(text),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::NotFound
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::SchemaChanged => StoreError::Unavailable(text),
            ErrorCode::ConstraintViolation => StoreError::Conflict(text),
            _ => StoreError::Refused(text),
        }
    }
}

#[cfg(unix)]
fn identity(file: &fs::Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((file.dev(), file.ino()))
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<Identity> {
    None
}

fn create(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(parent)?;
    }
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.append(true).create(true).open(path)?;
    Ok(())
}
