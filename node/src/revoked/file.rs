//! What was called off, in a file that outlives the node.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::health::{BEAT, Pulse};
use celeriac::{Error, Result, clock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// The form of the file; another one is not read.
const VERSION: u8 = 1;

/// A larger file is none of ours: all that is remembered fits, each letter escaped.
const MAX_SIZE: u64 = 128 << 20;

/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// How long an answer waits for what it says to be on the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the file holds: each with the seconds since the epoch when it was called off.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u8,
    pub(super) ids: Vec<(String, f64)>,
    pub(super) stamps: Vec<(String, String, f64)>,
}

impl Contents {
    pub(super) const fn new(ids: Vec<(String, f64)>, stamps: Vec<(String, String, f64)>) -> Self {
        Self {
            version: VERSION,
            ids,
            stamps,
        }
    }
}

/// The file of a node: written whole beside itself and then renamed, so that a crash
/// leaves the old one or the new one.
///
/// ```text
/// Written --something is called off--> Changed --write--> Written
///                                         |  ^
///                                  failed +--+ after 5 s, for ever
/// ```
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// Held for as long as the node runs, so that no other node takes the file.
    lock: File,
    /// Up to which change all is on the disk.
    written: watch::Sender<u64>,
}

impl StateFile {
    /// Opens a node's file and adds to what is called off what it holds. One that cannot
    /// be understood is set aside, since a node that does not start helps nobody.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a file that another node has, or that cannot be read or
    /// written.
    pub(crate) fn open(template: &Path, shared: &Shared) -> Result<Self> {
        let path = expand(template, shared.name());
        let wrong = |expected: &str, error: io::Error| {
            Error::invalid(
                format!("state file {}", path.display()),
                expected,
                error.to_string(),
            )
        };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(&path, "lock"))
            .map_err(|error| wrong("a place that can be written", error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => wrong(
                "a file of this node's own",
                io::Error::other("one that another node uses"),
            ),
            TryLockError::Error(error) => wrong("a file that can be locked", error),
        })?;
        let contents = read(&path).map_err(|error| wrong("a file that can be read", error))?;
        if let Some(contents) = contents {
            let (ids, stamps) = (contents.ids.len(), contents.stamps.len());
            shared
                .revoked
                .restore(contents, Instant::now(), clock::now());
            tracing::info!(path = %path.display(), ids, stamps, "read what was called off");
        }
        let file = Self {
            path,
            lock,
            written: watch::Sender::new(0),
        };
        // Now, and not at the first revocation, it is told that this does not work.
        let changes = *shared.revoked.changes().borrow();
        write(
            &file.path,
            &shared.revoked.contents(Instant::now(), clock::now()),
        )
        .map_err(|error| {
            let what = format!("state file {}", file.path.display());
            Error::invalid(what, "a place that can be written", error.to_string())
        })?;
        file.written.send_replace(changes);
        Ok(file)
    }

    /// Leaves the file to the next node. What still holds on to this one may outlive it.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "cannot unlock the state file");
        }
    }
}

/// Waits until all that is called off by now is in the file, if there is one; not for
/// long, since it is in memory in any case.
///
/// # Cancel safety
///
/// Cancel safe.
pub(crate) async fn saved(shared: &Shared) {
    let Some(file) = shared.state_file.get() else {
        return;
    };
    let change = *shared.revoked.changes().borrow();
    let mut written = file.written.subscribe();
    if timeout(PATIENCE, written.wait_for(|written| *written >= change))
        .await
        .is_err()
    {
        tracing::warn!(path = %file.path.display(), "revocations are not on the disk yet");
    }
}

/// Writes the file at each change until it is stopped, and a last time then. Changes
/// that come while it writes are written together.
pub(crate) async fn keep(shared: Arc<Shared>, stop: CancellationToken, pulse: Pulse) {
    let mut changes = shared.revoked.changes();
    loop {
        let Some(file) = shared.state_file.get() else {
            return;
        };
        let last = stop.is_cancelled();
        let change = *changes.borrow_and_update();
        let mut wait = BEAT;
        if change > *file.written.borrow() {
            let (shared, path) = (Arc::clone(&shared), file.path.clone());
            let writing = tokio::task::spawn_blocking(move || {
                write(
                    &path,
                    &shared.revoked.contents(Instant::now(), clock::now()),
                )
            });
            match pulse.during(writing).await {
                Ok(Ok(())) => drop(file.written.send_replace(change)),
                Ok(Err(error)) => {
                    tracing::error!(path = %file.path.display(), %error, "cannot write what was called off");
                    wait = RETRY;
                }
                Err(_) => tracing::error!("writing what was called off panicked"),
            }
        }
        if last {
            return;
        }
        let unwritten = wait == RETRY;
        tokio::select! {
            () = stop.cancelled() => {}
            Ok(()) = changes.changed(), if !unwritten => {}
            () = pulse.during(sleep(wait)) => {}
        }
    }
}

/// Puts the node's name into a path, in Celery's letters: `%n` is the name before the
/// `@`, `%h` the host after it, `%d` the host's domain, `%p` the whole.
fn expand(template: &Path, node: &str) -> PathBuf {
    let (name, host) = node.split_once('@').unwrap_or((node, ""));
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    let letters = [("%n", name), ("%h", host), ("%d", domain), ("%p", node)];
    // A name may hold what has a meaning in a path.
    let plain = |text: &str| text.replace(['/', '\\'], "_");
    let mut path = template.to_string_lossy().into_owned();
    for (letter, value) in letters {
        path = path.replace(letter, &plain(value));
    }
    path.into()
}

/// Returns a path beside another one.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Reads a file; `None` when there is none, or one that is not ours and was set aside.
fn read(path: &Path) -> io::Result<Option<Contents>> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let reason = if size > MAX_SIZE {
        format!("expected {MAX_SIZE} bytes at most, found {size}")
    } else {
        match serde_json::from_slice::<Contents>(&fs::read(path)?) {
            Ok(contents) if contents.version == VERSION => return Ok(Some(contents)),
            Ok(other) => format!("expected version {VERSION}, found {}", other.version),
            Err(error) => error.to_string(),
        }
    };
    let aside = beside(path, "corrupt");
    fs::rename(path, &aside)?;
    tracing::warn!(
        path = %path.display(), aside = %aside.display(), reason,
        "state file cannot be understood; set aside"
    );
    Ok(None)
}

fn write(path: &Path, contents: &Contents) -> io::Result<()> {
    let new = beside(path, "new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(contents)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name is on the disk when its folder is; not every system can be asked for it.
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(id: &str) -> Contents {
        Contents::new(
            vec![(id.to_owned(), 1.5)],
            vec![("a".into(), "b".into(), 2.5)],
        )
    }

    /// A folder of this test's own, gone at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("celeriac-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// S33.
    #[test]
    fn what_is_written_is_read() {
        let folder = Folder::new("state-read");
        let path = folder.0.join("state");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, &contents("one")).unwrap();
        write(&path, &contents("two")).unwrap();
        assert_eq!(read(&path).unwrap(), Some(contents("two")));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    /// S33.
    #[test]
    fn all_that_can_be_remembered_can_be_read() {
        use crate::revoked::{MAX_STAMPS, MAX_TEXT, REVOKED_MAX};

        // The longest that a letter becomes in JSON.
        let text = "\u{1}".repeat(MAX_TEXT);
        let size = |contents: &Contents| serde_json::to_vec(contents).unwrap().len() as u64;
        let empty = size(&Contents::new(Vec::new(), Vec::new()));
        let id = Contents::new(vec![(text.clone(), 1_234_567_890.123_456)], Vec::new());
        let stamp = (text.clone(), text, 1_234_567_890.123_456);
        let stamp = Contents::new(Vec::new(), vec![stamp]);
        let each = |one: u64, count: usize| (one - empty + 1) * count as u64;
        let most = empty + each(size(&id), REVOKED_MAX) + each(size(&stamp), MAX_STAMPS);
        assert!(most <= MAX_SIZE, "{most}");
    }

    /// S33.
    #[test]
    fn what_is_not_ours_is_set_aside() {
        let folder = Folder::new("state-aside");
        let path = folder.0.join("state");
        for text in [
            "",
            "{\"version\":1,\"ids\"",
            "{\"version\":9,\"ids\":[],\"stamps\":[]}",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap(), None);
            assert_eq!(fs::read_to_string(beside(&path, "corrupt")).unwrap(), text);
            assert!(!path.exists());
        }
        // A folder is no file: the operator must know.
        assert!(read(&folder.0).is_err());
    }

    #[test]
    fn a_path_takes_the_name_of_the_node() {
        for (template, path) in [
            ("/run/%n.state", "/run/w1.state"),
            ("%p", "w1@a.example"),
            ("%h-%d", "a.example-example"),
        ] {
            assert_eq!(expand(Path::new(template), "w1@a.example"), Path::new(path));
        }
        assert_eq!(expand(Path::new("%n"), "../x@h"), Path::new(".._x"));
    }
}
