//! The result of a group.

use std::ops::Deref;

use celeriac_protocol::{ResultTuple, Value};
use serde::{Serialize, Serializer};

use super::{AsyncResult, ResultSet};
use crate::app::App;
use crate::error::Result;

/// The results of a group's members, known by the group's id: a [`ResultSet`] that can
/// be saved, and restored by another process.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
///
/// use celeriac::result::GroupResult;
/// use celeriac::{App, Call, group, task};
///
/// #[task]
/// async fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// # async fn example(app: App) -> celeriac::Result<()> {
/// let squares: Call<Vec<i64>> = group((1..=10).map(|x| square.call(x))).into();
/// let group = squares.send(&app).await?.into_group().expect("a group was sent");
/// group.save().await?;
///
/// // Later, elsewhere.
/// if let Some(group) = GroupResult::<i64>::restore(&app, group.id()).await? {
///     println!("{:?}", group.get(Duration::from_secs(10)).await?);
///     group.delete().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GroupResult<R = Value> {
    id: String,
    parent: Option<Box<ResultTuple>>,
    members: ResultSet<R>,
}

impl<R> GroupResult<R> {
    /// Restores a group that was [saved](Self::save), here or by a Celery client; `None`
    /// when there is none of that id.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) when the backend keeps nothing;
    /// when it is out of reach.
    pub async fn restore(app: &App, id: &str) -> Result<Option<Self>> {
        let saved = app.backend().restore_group(id).await?;
        let group = saved.map(|group| app.known::<Vec<R>>(group));
        Ok(group.and_then(AsyncResult::into_group))
    }

    /// Returns the group's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Saves the group by its id, as Celery does, for as long as results are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) when the backend keeps nothing;
    /// when it is out of reach.
    pub async fn save(&self) -> Result<()> {
        self.app().backend().save_group(&self.tuple()).await
    }

    /// Removes what was saved. The members' results stay.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub async fn delete(&self) -> Result<()> {
        self.app().backend().delete_group(&self.id).await
    }

    /// Returns the result before the group in its chain.
    pub fn parent(&self) -> Option<AsyncResult<Value>> {
        Some(self.app().known(self.parent.as_deref()?.clone()))
    }

    /// Returns the group by name, as Celery writes it.
    pub fn tuple(&self) -> ResultTuple {
        ResultTuple {
            id: self.id.clone(),
            parent: self.parent.clone(),
            children: Some(self.results().iter().map(AsyncResult::tuple).collect()),
        }
    }
}

impl<R> AsyncResult<Vec<R>> {
    /// Takes the result of a group for what it is; `None` when one task made the list.
    pub fn into_group(self) -> Option<GroupResult<R>> {
        let members = self.members?.into_iter();
        Some(GroupResult {
            id: self.id,
            parent: self.parent,
            members: ResultSet::of(&self.app, members.map(AsyncResult::cast).collect()),
        })
    }
}

impl<R> Deref for GroupResult<R> {
    type Target = ResultSet<R>;

    fn deref(&self) -> &ResultSet<R> {
        &self.members
    }
}

/// Written as its [tuple](GroupResult::tuple).
impl<R> Serialize for GroupResult<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.tuple().serialize(serializer)
    }
}
