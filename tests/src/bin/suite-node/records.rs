//! Tasks that leave a trace in Redis, where the suite looks for it.

use celeriac::protocol::typed::Bytes;
use celeriac::{AppBuilder, Context, TaskError, Value, task};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::plain::sum;

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(redis_echo)
        .task(redis_echo_group_id)
        .task(redis_count)
        .task(sum_and_record)
}

#[task(name = "t.integration.tasks.redis_echo")]
pub(crate) async fn redis_echo(
    message: Value,
    #[default("redis-echo".to_owned())] redis_key: String,
) -> Result<(), TaskError> {
    push(&redis_key, message).await
}

#[task(name = "t.integration.tasks.redis_echo_group_id")]
async fn redis_echo_group_id(
    ctx: Context,
    _previous: Value,
    #[default("redis-group-ids".to_owned())] redis_key: String,
) -> Result<(), TaskError> {
    push(&redis_key, ctx.request().headers.group.clone().into()).await
}

#[task(name = "t.integration.tasks.redis_count")]
async fn redis_count(
    #[default("redis-count".to_owned())] redis_key: String,
) -> Result<(), TaskError> {
    count(&redis_key).await
}

#[task(name = "t.integration.tasks.sum_and_record")]
async fn sum_and_record(
    ctx: Context,
    values: Vec<Value>,
    redis_key: String,
) -> Result<Value, TaskError> {
    let result = sum(values)?;
    push(&redis_key, ctx.id().into()).await?;
    Ok(result)
}

/// Appends what redis-py would write: numbers, texts and bytes as they are.
pub(crate) async fn push(key: &str, message: Value) -> Result<(), TaskError> {
    let bytes = match message {
        Value::Str(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Float(number) => number.to_string().into_bytes(),
        other => match other.to::<Bytes>() {
            Ok(Bytes(bytes)) => bytes.to_vec(),
            Err(_) => {
                let text = format!("Invalid input of type: '{}'", other.kind());
                return Err(TaskError::raise("redis.exceptions", "DataError", text));
            }
        },
    };
    Ok(connect().await?.rpush::<_, _, ()>(key, bytes).await?)
}

pub(crate) async fn count(key: &str) -> Result<(), TaskError> {
    Ok(connect().await?.incr::<_, _, ()>(key, 1).await?)
}

async fn connect() -> Result<MultiplexedConnection, TaskError> {
    let variable = |name, absent: &str| std::env::var(name).unwrap_or_else(|_| absent.to_owned());
    let (host, port) = (
        variable("REDIS_HOST", "localhost"),
        variable("REDIS_PORT", "6379"),
    );
    let client = redis::Client::open(format!("redis://{host}:{port}/0"))?;
    Ok(client.get_multiplexed_async_connection().await?)
}
