//! Reading documents.

use std::sync::Arc;

use celeriac_protocol::ResultDocument;
use celeriac_protocol::error::DecodeError;
use celeriac_protocol::naming::keys;

use super::link::Link;
use super::options::RedisOptions;
use super::stored;
use crate::error::Result;

/// How many documents are read with one command.
const BATCH: usize = 512;

/// Reads documents.
#[derive(Debug)]
pub(super) struct Reader {
    link: Arc<Link>,
    options: RedisOptions,
}

impl Reader {
    pub(super) const fn new(link: Arc<Link>, options: RedisOptions) -> Self {
        Self { link, options }
    }

    pub(super) const fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<ResultDocument, DecodeError> {
        stored::decode(bytes, self.options.decompressed_limit)
    }

    /// Returns what is stored, in the order of the ids.
    pub(super) async fn fetch(&self, ids: &[String]) -> Result<Vec<Option<ResultDocument>>> {
        let read = self.read(ids).await?;
        Ok(read
            .into_iter()
            .map(Option::transpose)
            .collect::<Result<_, _>>()?)
    }

    /// Returns what is stored, each with what is wrong with it.
    pub(super) async fn read(
        &self,
        ids: &[String],
    ) -> Result<Vec<Option<Result<ResultDocument, DecodeError>>>> {
        let mut documents = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            let mut command = redis::cmd("MGET");
            for id in ids {
                command.arg(self.options.key(&keys::task(id)));
            }
            let command = &command;
            let values: Vec<Option<Vec<u8>>> = self
                .link
                .run(|mut connection| async move { command.query_async(&mut connection).await })
                .await?;
            documents.extend(values.into_iter().map(|value| Some(self.decode(&value?))));
        }
        Ok(documents)
    }

    /// Removes what is stored.
    pub(super) async fn forget(&self, ids: &[String]) -> Result<()> {
        for ids in ids.chunks(BATCH) {
            let mut command = redis::cmd("DEL");
            for id in ids {
                command.arg(self.options.key(&keys::task(id)));
            }
            let command = &command;
            self.link
                .run(|mut connection| async move { command.exec_async(&mut connection).await })
                .await?;
        }
        Ok(())
    }
}
