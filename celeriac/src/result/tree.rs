//! What a task set going, and what that set going.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use celeriac_protocol::{ResultDocument, ResultTuple, Value};
use tokio::time::{Instant, timeout_at};

use super::AsyncResult;
use super::get::check;
use crate::error::{Error, Result};

impl<R> AsyncResult<R> {
    /// Waits for the task and all that it set going, and returns every result with its
    /// document: a task before its children, level by level. Of a group, its members
    /// follow.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when not all are ready in time; [`Error::Unsupported`] when the
    /// backend keeps no results. What a task failed with is no error of this call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(result: celeriac::AsyncResult<i64>) -> celeriac::Result<()> {
    /// for (task, document) in result.collect(Duration::from_secs(10)).await? {
    ///     println!("{} {} {:?}", task.id(), document.status, document.result);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn collect(
        &self,
        within: Duration,
    ) -> Result<Vec<(AsyncResult<Value>, ResultDocument)>> {
        check(&self.app)?;
        let until = Instant::now() + within;
        let mut found = Vec::new();
        // A task may be named more than once, and name itself.
        let mut seen = HashSet::from([self.id.clone()]);
        let mut waiting = VecDeque::from([self.tuple()]);
        while let Some(next) = waiting.pop_front() {
            let result: AsyncResult<Value> = self.app.known(next);
            let document = match timeout_at(until, result.end()).await {
                Ok(document) => document?,
                Err(_) => {
                    return Err(Error::Timeout {
                        what: format!("task {}, which {} set going", result.id, self.id),
                        after: within,
                    });
                }
            };
            let children = match &result.members {
                Some(members) => members.iter().map(AsyncResult::tuple).collect(),
                None => children(&document),
            };
            let new = children.into_iter();
            waiting.extend(new.filter(|child| seen.insert(child.id.clone())));
            found.push((result, document));
        }
        Ok(found)
    }
}

/// Reads the children of a document; what nobody can read leads nowhere.
pub(super) fn children(document: &ResultDocument) -> Vec<ResultTuple> {
    let children = document.children.iter().flatten();
    children
        .filter_map(|child| ResultTuple::from_value(child).ok())
        .collect()
}
