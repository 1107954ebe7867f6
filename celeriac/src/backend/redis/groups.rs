//! Saved groups, in the keys and the form of Celery.

use std::sync::Arc;

use celeriac_protocol::naming::keys;
use celeriac_protocol::{ResultTuple, Table, Value};

use super::link::Link;
use super::options::RedisOptions;
use super::stored;
use crate::error::{Error, Result};

/// Keeps groups by their ids.
#[derive(Debug)]
pub(super) struct Groups {
    link: Arc<Link>,
}

impl Groups {
    pub(super) const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    pub(super) async fn save(&self, group: &ResultTuple, options: &RedisOptions) -> Result<()> {
        let body = options.codec.to_vec(&written(group))?;
        let key = options.key(&keys::group(&group.id));
        let mut command = redis::cmd("SET");
        command.arg(key).arg(body);
        // A chord's header is needed for as long as its counter.
        match options.group_ttl() {
            0 => {}
            ttl => {
                command.arg("EX").arg(ttl);
            }
        }
        self.exec(&command).await
    }

    pub(super) async fn restore(
        &self,
        id: &str,
        options: &RedisOptions,
    ) -> Result<Option<ResultTuple>> {
        let mut command = redis::cmd("GET");
        command.arg(options.key(&keys::group(id)));
        let command = &command;
        let saved: Option<Vec<u8>> = self
            .link
            .run(|mut connection| async move { command.query_async(&mut connection).await })
            .await?;
        saved.map(|saved| read(&saved, options)).transpose()
    }

    pub(super) async fn delete(&self, id: &str, options: &RedisOptions) -> Result<()> {
        let mut command = redis::cmd("DEL");
        command.arg(options.key(&keys::group(id)));
        self.exec(&command).await
    }

    async fn exec(&self, command: &redis::Cmd) -> Result<()> {
        self.link
            .run(|mut connection| async move { command.exec_async(&mut connection).await })
            .await
    }
}

/// `{"result": [[id, parent], members]}`
fn written(group: &ResultTuple) -> Value {
    let mut saved = Table::new();
    saved.insert("result", Value::from(group));
    saved.into()
}

/// Reads a saved group, whatever codec and compression wrote it.
pub(super) fn read(bytes: &[u8], options: &RedisOptions) -> Result<ResultTuple> {
    match stored::value(bytes, options.decompressed_limit, "saved group")? {
        Value::Map(saved) => match saved.get("result") {
            Some(group) => Ok(ResultTuple::from_value(group)?),
            None => Err(wrong("no result")),
        },
        other => Err(wrong(other.kind())),
    }
}

fn wrong(found: &str) -> Error {
    Error::invalid("saved group", "an object with its result", found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What Celery 5.7 saved for a group of one task.
    const SAVED: &[u8] = br#"{"result": [["g", null], [[["a", null], null]]]}"#;

    #[test]
    fn a_group_is_saved_as_celery_saves_it() {
        let options = RedisOptions::default();
        let group = read(SAVED, &options).unwrap();
        assert_eq!(group, ResultTuple::group("g", [ResultTuple::new("a")]));
        assert_eq!(options.codec.to_vec(&written(&group)).unwrap(), SAVED);
        for wrong in [&b"[]"[..], b"{}", b"", br#"{"result": 1}"#] {
            assert!(read(wrong, &options).is_err(), "{wrong:?}");
        }
    }
}
