//! The results of calls, wherever they run: of one task, of a group, of any set.

mod get;
mod group;
mod set;
mod tree;

use std::fmt;
use std::marker::PhantomData;

use celeriac_protocol::{ResultTuple, Value};
use serde::{Serialize, Serializer};

pub use self::group::GroupResult;
pub use self::set::{Completed, Counts, ResultSet};
use crate::app::App;
use crate::backend::Waiter;
use crate::control::{Command, Signal};
use crate::error::Result;

/// The result of a call, which may not be there yet.
///
/// Holds a place in the backend's table of waiters for as long as it lives, so a
/// result cannot come unseen. The result of a group is the list of its members'
/// values: an `AsyncResult<Vec<T>>`.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
///
/// use celeriac::{App, task};
///
/// #[task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// # async fn example(app: App) -> celeriac::Result<()> {
/// let sum = add.call(2, 3).then(add.partial().arg(4)).send(&app).await?;
/// // The value, or the error that the task failed with.
/// println!("{}", sum.get(Duration::from_secs(10)).await?);
/// // All that is stored of it.
/// let document = sum.ready(Duration::from_secs(10)).await?;
/// println!("{} {:?} {:?}", document.status, document.date_done, document.traceback);
/// // The step before it, whose value may be of any type.
/// if let Some(first) = sum.parent() {
///     let value = first.get(Duration::from_secs(10)).await?;
///     println!("{:?}", value.as_i64());
/// }
/// # Ok(())
/// # }
/// ```
pub struct AsyncResult<R> {
    id: String,
    app: App,
    waiter: Option<Waiter>,
    parent: Option<Box<ResultTuple>>,
    members: Option<Vec<AsyncResult<Value>>>,
    result: PhantomData<fn() -> R>,
}

impl<R> AsyncResult<R> {
    /// Makes a result; `waiters` are those of its tasks, in order, or none.
    pub(crate) fn new(
        app: App,
        result: ResultTuple,
        waiters: &mut dyn Iterator<Item = Waiter>,
    ) -> Self {
        let ResultTuple {
            id,
            parent,
            children,
        } = result;
        let members = children.map(|members| {
            let member = |member| AsyncResult::new(app.clone(), member, &mut *waiters);
            members.into_iter().map(member).collect::<Vec<_>>()
        });
        let waiter = match members {
            None => waiters.next(),
            Some(_) => None,
        };
        Self {
            id,
            app,
            waiter,
            parent,
            members,
            result: PhantomData,
        }
    }

    /// Returns the task's id, or the group's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the members' results, when the call was a group; else none.
    pub fn members(&self) -> &[AsyncResult<Value>] {
        self.members.as_deref().unwrap_or_default()
    }

    /// Returns the members' results, to wait for each; none unless the call was a group.
    pub fn into_members(self) -> Vec<AsyncResult<Value>> {
        self.members.unwrap_or_default()
    }

    /// Reads the value as another type.
    pub fn cast<S>(self) -> AsyncResult<S> {
        AsyncResult {
            id: self.id,
            app: self.app,
            waiter: self.waiter,
            parent: self.parent,
            members: self.members,
            result: PhantomData,
        }
    }

    /// Returns the result by name, as Celery writes it: what a task returns that hands
    /// over the result of another one. Whoever reads it makes a result of it again with
    /// [`App::result_of`].
    ///
    /// # Example
    ///
    /// ```
    /// use celeriac::protocol::ResultTuple;
    /// use celeriac::{Call, Context, group, task};
    ///
    /// #[task]
    /// async fn add(x: i64, y: i64) -> i64 {
    ///     x + y
    /// }
    ///
    /// #[task]
    /// async fn start(ctx: Context) -> celeriac::Result<ResultTuple> {
    ///     let both: Call<Vec<i64>> = group([add.call(1, 1), add.call(2, 2)]).into();
    ///     Ok(both.send(&ctx).await?.tuple())
    /// }
    /// ```
    pub fn tuple(&self) -> ResultTuple {
        let members = self.members.as_ref();
        ResultTuple {
            id: self.id.clone(),
            parent: self.parent.clone(),
            children: members.map(|members| members.iter().map(AsyncResult::tuple).collect()),
        }
    }

    /// Returns the result before this one in its chain; that of a chord's body is the
    /// header. `None` when there was none, or nothing is known of it.
    pub fn parent(&self) -> Option<AsyncResult<Value>> {
        let parent = self.parent.as_deref()?;
        Some(self.app.known(parent.clone()))
    }

    /// Removes what is stored of the task, or of a group's members.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn forget(&self) -> Result<()> {
        self.app.backend().forget(&self.task_ids()).await
    }

    /// Calls the task off, or a group's members: it does not start any more. With
    /// `terminate` a node that runs it stops it.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. Whether a node heard it is not known.
    pub async fn revoke(&self, terminate: bool) -> Result<()> {
        revoke(&self.app, self.task_ids(), terminate).await
    }

    /// The ids of the tasks in it: its own, or those of all members.
    fn task_ids(&self) -> Vec<String> {
        let tasks = self.tasks().into_iter();
        tasks.map(|(id, _)| id.to_owned()).collect()
    }

    /// The tasks in it, in order.
    fn tasks(&self) -> Vec<(&str, Option<&Waiter>)> {
        match &self.members {
            None => vec![(&self.id, self.waiter.as_ref())],
            Some(members) => members.iter().flat_map(AsyncResult::tasks).collect(),
        }
    }
}

/// Calls tasks off.
async fn revoke(app: &App, ids: Vec<String>, terminate: bool) -> Result<()> {
    let command = Command::revoke(ids);
    let command = match terminate {
        true => command.terminate(Signal::TERM),
        false => command,
    };
    app.control().cast(command).await
}

/// Written as its [tuple](AsyncResult::tuple).
impl<R> Serialize for AsyncResult<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.tuple().serialize(serializer)
    }
}

impl<R> fmt::Debug for AsyncResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("AsyncResult");
        text.field("id", &self.id);
        if let Some(members) = &self.members {
            text.field("members", members);
        }
        text.finish_non_exhaustive()
    }
}
