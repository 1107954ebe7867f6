//! Stores in files, and what can happen to a file.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A folder of its own, removed at the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let name = format!("celeriac-store-{}", uuid::Uuid::new_v4());
        Self(std::env::temp_dir().join(name))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("deep/celeriac.db")
    }

    pub(super) fn place(&self) -> Place {
        Place::Sqlite(self.file())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn writable(folder: &Folder, yes: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if yes { 0o600 } else { 0o400 };
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
}

// S36: a store file that is made read-only while it is open is read on, and not written.
#[cfg(unix)]
#[tokio::test]
async fn a_file_made_read_only_is_still_read_and_says_why_it_is_not_written() {
    let folder = Folder::new();
    let store = Store::open(&folder.place()).await.unwrap();
    with_things(&store).await;
    store.write(vec![put("a", 1)]).await.unwrap();
    writable(&folder, false);
    let refused = store.write(vec![put("b", 1)]).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::ReadOnly(why) if why.contains("celeriac.db")),
        "{refused}"
    );
    assert_eq!(store.trouble(), Some(refused));
    assert_eq!(count(&store).await, 1);
    writable(&folder, true);
    assert_eq!(store.write(vec![put("b", 1)]).await, Ok(vec![1]));
    assert_eq!((store.trouble(), count(&store).await), (None, 2));
}

// S36: a file that was deleted, or that another one took the place of, is noticed before
// writes vanish with it; once it is back, writes go on.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_or_replaced_is_noticed_and_may_come_back() {
    let folder = Folder::new();
    let store = Store::open(&folder.place()).await.unwrap();
    with_things(&store).await;
    let aside = folder.file().with_extension("aside");
    fs::rename(folder.file(), &aside).unwrap();
    let gone = store.write(vec![put("a", 1)]).await.unwrap_err();
    assert!(
        gone.is_transient() && gone.to_string().contains("put the file back"),
        "{gone}"
    );
    fs::copy(&aside, folder.file()).unwrap();
    let replaced = store.write(vec![put("a", 1)]).await.unwrap_err();
    assert!(
        replaced.is_transient() && replaced.to_string().contains("another file"),
        "{replaced}"
    );
    // What was known is still read.
    assert_eq!(count(&store).await, 0);
    fs::rename(&aside, folder.file()).unwrap();
    assert_eq!(store.write(vec![put("a", 1)]).await, Ok(vec![1]));
    assert_eq!((store.trouble(), count(&store).await), (None, 1));
}

#[tokio::test]
async fn a_restart_keeps_everything_and_two_processes_may_share_the_file() {
    let folder = Folder::new();
    let first = Store::open(&folder.place()).await.unwrap();
    with_things(&first).await;
    first.write(vec![put("a", 1)]).await.unwrap();
    let second = Store::open(&folder.place()).await.unwrap();
    let write = |store: Store, name: &'static str| async move {
        for n in 0..50 {
            store
                .write(vec![put(&format!("{name}{n}"), n)])
                .await
                .unwrap();
        }
    };
    tokio::join!(write(first.clone(), "x"), write(second.clone(), "y"));
    assert_eq!(count(&second).await, 101);
    first.close().await;
    second.close().await;
    let third = Store::open(&folder.place()).await.unwrap();
    assert_eq!(count(&third).await, 101);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(folder.file()).unwrap().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_cannot_be_a_store_is_told_at_the_start() {
    let folder = Folder::new();
    fs::create_dir_all(folder.file()).unwrap();
    let error = Store::open(&folder.place()).await.unwrap_err();
    assert!(error.to_string().contains("celeriac.db"), "{error}");
    let folder = Folder::new();
    fs::create_dir_all(folder.file().parent().unwrap()).unwrap();
    fs::write(
        folder.file(),
        "this is no database, and it is long enough to be looked at",
    )
    .unwrap();
    let error = Store::open(&folder.place()).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
}

// S36: a full disk refuses the write and nothing of it stays; the store goes on when there
// is room.
#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let store = Store::open(&Place::Memory).await.unwrap();
    with_things(&store).await;
    let pages = |most: i64| Statement::new(format!("PRAGMA max_page_count = {most}"));
    store.write(vec![pages(1)]).await.unwrap();
    let text = "x".repeat(1_000_000);
    let big = |name: &str| {
        Statement::new("INSERT INTO things (name, raw) VALUES ($1, $2)")
            .bind(name)
            .bind(&*text)
    };
    let full = store.write(vec![put("a", 1), big("b")]).await.unwrap_err();
    assert!(
        matches!(full, StoreError::Full(_)) && full.is_transient(),
        "{full}"
    );
    assert_eq!((count(&store).await, store.trouble()), (0, Some(full)));
    store.write(vec![pages(1_000_000)]).await.unwrap();
    assert_eq!(
        store.write(vec![put("a", 1), big("b")]).await,
        Ok(vec![1, 1])
    );
}
