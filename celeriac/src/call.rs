//! A call of a task, before it is sent.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use celeriac_protocol::{Codec, EncodeError, Signature, Timestamp, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::Caller;
use crate::canvas::{self, Kind, StampingVisitor};
use crate::error::Result;
use crate::producer::PublishRetry;
use crate::result::AsyncResult;

/// A call of a task, before it is sent: arguments and options.
///
/// `#[task]` gives every task a `call` that takes its arguments; for tasks that live
/// elsewhere there is [`crate::App::call`] by name. A call is also a step of a
/// workflow: see [`crate::canvas`].
///
/// # Example
///
/// ```no_run
/// # use std::time::Duration;
/// # use celeriac::{App, task};
/// #[task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// # async fn example(app: App) -> celeriac::Result<()> {
/// let sum = add.call(2, 3).countdown(Duration::from_secs(10)).queue("fast").send(&app).await?;
/// assert_eq!(sum.get(Duration::from_secs(30)).await?, 5);
/// # Ok(())
/// # }
/// ```
#[must_use = "a call does nothing until it is sent"]
pub struct Call<R> {
    signature: Signature,
    result: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    /// Makes a call without arguments.
    pub fn new(task: impl Into<String>) -> Self {
        Self::from_signature(Signature {
            task: task.into(),
            ..Signature::default()
        })
    }

    /// Makes a call of a signature.
    pub fn from_signature(signature: Signature) -> Self {
        Self {
            signature,
            result: PhantomData,
        }
    }

    /// Adds a positional argument.
    pub fn arg(mut self, value: impl Serialize) -> Self {
        match Value::from_serialize(&value) {
            Ok(value) => self.signature.args.push(value),
            Err(error) => canvas::spoil(&mut self.signature, &error),
        }
        self
    }

    /// Adds positional arguments.
    pub fn args(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.signature.args.extend(values);
        self
    }

    /// Sets a keyword argument.
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        match Value::from_serialize(&value) {
            Ok(value) => self.signature.kwargs.insert(name, value),
            Err(error) => canvas::spoil(&mut self.signature, &error),
        }
        self
    }

    /// Sets keyword arguments.
    pub fn kwargs(mut self, values: celeriac_protocol::Table) -> Self {
        for (name, value) in values {
            self.signature.kwargs.insert(name, value);
        }
        self
    }

    /// Runs it after a delay.
    pub fn countdown(self, delay: Duration) -> Self {
        self.option("countdown", delay.as_secs_f64())
    }

    /// Runs it at a time: a `SystemTime`, or a [`Timestamp`] in a zone of its own. One without
    /// a zone is UTC to those who run it.
    pub fn eta(self, at: impl Into<Timestamp>) -> Self {
        self.option("eta", at.into().to_string())
    }

    /// Drops it when it has not started after this long.
    pub fn expires(self, after: Duration) -> Self {
        self.option("expires", after.as_secs_f64())
    }

    /// Drops it when it has not started at this time.
    pub fn expires_at(self, at: impl Into<Timestamp>) -> Self {
        self.option("expires", at.into().to_string())
    }

    /// Sends it to a queue.
    pub fn queue(self, name: impl Into<String>) -> Self {
        self.option("queue", name.into())
    }

    /// Sends it with a routing key, for a queue behind a topic exchange. Default the queue's
    /// own.
    pub fn routing_key(self, key: impl Into<String>) -> Self {
        self.option("routing_key", key.into())
    }

    /// Sends it to an exchange with a routing key.
    pub fn exchange(self, name: impl Into<String>, routing_key: impl Into<String>) -> Self {
        self.option("exchange", name.into())
            .option("routing_key", routing_key.into())
    }

    /// Sets the priority, 0 to 255; on RabbitMQ the higher goes first, on queues that
    /// were declared with priorities.
    pub fn priority(self, priority: u8) -> Self {
        self.option("priority", priority)
    }

    /// Sets the id, which is made up otherwise.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.option("task_id", id.into())
    }

    /// Sets how often the call is tried when its message does not reach the broker.
    pub fn publish_retry(self, retry: PublishRetry) -> Self {
        let mut policy = celeriac_protocol::Table::new();
        policy.insert("max_retries", retry.max_retries);
        policy.insert("interval_start", retry.interval_start.as_secs_f64());
        policy.insert("interval_step", retry.interval_step.as_secs_f64());
        policy.insert("interval_max", retry.interval_max.as_secs_f64());
        self.option("retry_policy", policy)
    }

    /// Sets whether a message that no queue takes is an error. Default true.
    pub fn mandatory(self, mandatory: bool) -> Self {
        self.option("mandatory", mandatory)
    }

    /// Sets whether to wait until the broker has taken the message over. Default true; without
    /// it nobody hears of a message that is lost.
    pub fn confirm(self, confirm: bool) -> Self {
        self.option("confirm", confirm)
    }

    /// Sets whether the message survives the broker's restart. Default the app's.
    pub fn persistent(self, persistent: bool) -> Self {
        self.option("delivery_mode", if persistent { 2 } else { 1 })
    }

    /// Sends results to another queue, for `rpc://`. Default the app's own.
    pub fn reply_to(self, queue: impl Into<String>) -> Self {
        self.option("reply_to", queue.into())
    }

    /// Stops the task after this long.
    pub fn time_limit(self, limit: Duration) -> Self {
        self.option("time_limit", limit.as_secs_f64())
    }

    /// Asks the task to stop after this long.
    pub fn soft_time_limit(self, limit: Duration) -> Self {
        self.option("soft_time_limit", limit.as_secs_f64())
    }

    /// Wants no result.
    pub fn ignore_result(self) -> Self {
        self.option("ignore_result", true)
    }

    /// Shows another name in logs and events.
    pub fn shadow(self, name: impl Into<String>) -> Self {
        self.option("shadow", name.into())
    }

    /// Writes the body with another serializer than the app's.
    pub fn serializer(self, codec: Codec) -> Self {
        self.option("serializer", codec.name())
    }

    /// Compresses the body: `zlib`, `bzip2` or `zstd`.
    pub fn compression(self, name: impl Into<String>) -> Self {
        self.option("compression", name.into())
    }

    /// Adds a header of the user's own.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        let mut headers = match self.signature.options.remove("headers") {
            Some(Value::Map(headers)) => headers,
            _ => celeriac_protocol::Table::new(),
        };
        headers.insert(name, value);
        self.option("headers", headers)
    }

    /// Calls another task with the result when this one succeeds. May be used often.
    ///
    /// The result of a chain is that of its last step, the result of a chord that of its
    /// body. A group has none to call something with, and cannot be sent then: put a step
    /// behind it instead.
    pub fn link(mut self, callback: impl Into<Signature>) -> Self {
        if Kind::of(&self.signature) == Kind::Group {
            let reason = "it is a group, which has no result to link to: put a step behind it";
            canvas::spoil(&mut self.signature, &EncodeError::new("link", reason));
        }
        self.append(callback.into(), Signature::with_link)
    }

    /// Calls another task with this one's id when it fails. May be used often. Celery
    /// calls it `link_error` and `on_error`.
    ///
    /// Of a chain, any step that fails calls it, of a group each member that fails; of a
    /// chord the body does, which fails when its header does.
    pub fn link_error(self, errback: impl Into<Signature>) -> Self {
        self.append(errback.into(), Signature::with_link_error)
    }

    /// Marks the call, and every task in it, with a header by which nodes can be asked
    /// about it and told to call it off; see [`Signature::stamp`].
    pub fn stamp(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::from_signature(self.signature.stamp(name, value))
    }

    /// Marks the tasks of a workflow one by one; see [`StampingVisitor`].
    pub fn stamped(self, visitor: &mut dyn StampingVisitor) -> Self {
        Self::from_signature(self.signature.stamped(visitor))
    }

    /// Calls another task after this one, with its result as first argument unless that
    /// is [immutable](Call::immutable): a chain. After a group it gets the list of all
    /// results: a chord.
    pub fn then<S>(self, next: Call<S>) -> Call<S> {
        Call::from_signature(canvas::then(self.signature, next.signature))
    }

    /// As a step of a workflow: refuses the previous result.
    pub fn immutable(mut self) -> Self {
        self.signature.immutable = true;
        self
    }

    /// Sets any option of the protocol by name.
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.signature.options.insert(name, value);
        self
    }

    /// Returns the call as data. An argument that could not be encoded is missing in
    /// it; sending it, alone or in a workflow, fails and says so.
    pub fn signature(self) -> Signature {
        self.signature
    }

    fn append(mut self, signature: Signature, how: fn(Signature, Signature) -> Signature) -> Self {
        canvas::inherit_fault(&mut self.signature, &signature);
        Self::from_signature(how(self.signature, signature))
    }
}

impl<R> Clone for Call<R> {
    fn clone(&self) -> Self {
        Self::from_signature(self.signature.clone())
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.signature).finish()
    }
}

impl<R: DeserializeOwned> Call<R> {
    /// Sends the call. From inside a task send it through the task's context, so that
    /// it becomes a child of that task.
    ///
    /// # Errors
    ///
    /// When an argument cannot be encoded, no queue takes the message, or the broker
    /// is out of reach for longer than its deadline.
    ///
    /// # Delivery guarantee
    ///
    /// `Ok` means that the broker has taken the message over. After
    /// [`crate::Error::Timeout`] it may or may not have.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the call was sent.
    pub async fn send(self, caller: &impl Caller) -> Result<AsyncResult<R>> {
        caller.app().send(self.signature, caller.parent()).await
    }
}

/// A signature of any kind can be called; `R` is what the caller reads its result as.
impl<R> From<Signature> for Call<R> {
    fn from(signature: Signature) -> Self {
        Self::from_signature(signature)
    }
}

impl<R> From<Call<R>> for Signature {
    fn from(call: Call<R>) -> Self {
        call.signature
    }
}
