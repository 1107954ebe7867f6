//! Tasks that turn arguments into a value.

use std::io::Write as _;
use std::time::Duration;

use celeriac::{AppBuilder, TaskError, Value, task};
use serde::{Deserialize, Serialize};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(ping)
        .task(identity)
        .task(add)
        .task(mul)
        .task(add_not_typed)
        .task(add_ignore_result)
        .task(add_with_result)
        .task(add_pydantic)
        .task(add_pydantic_string_annotations)
        .task(tsum)
        .task(xsum)
        .task(delayed_sum)
        .task(write_to_file_and_return_int)
        .task(print_unicode)
        .task(return_exception)
        .task(replaced_with_me)
}

#[task(name = "celery.ping")]
async fn ping() -> String {
    "pong".to_owned()
}

#[task(name = "t.integration.tasks.identity")]
pub(crate) async fn identity(x: Value) -> Value {
    x
}

#[task(name = "t.integration.tasks.add")]
pub(crate) async fn add(x: Value, y: Value, z: Option<Value>) -> Result<Value, TaskError> {
    let sum = plus(x, y)?;
    match z {
        Some(z) if z != Value::Int(0) => plus(sum, z),
        _ => Ok(sum),
    }
}

#[task(name = "t.integration.tasks.mul")]
async fn mul(x: i64, y: i64) -> Result<i64, TaskError> {
    x.checked_mul(y).ok_or_else(overflow)
}

#[task(name = "t.integration.tasks.add_not_typed")]
async fn add_not_typed(x: Value, y: Value) -> Result<Value, TaskError> {
    plus(x, y)
}

#[task(name = "t.integration.tasks.add_ignore_result", ignore_result)]
async fn add_ignore_result(x: Value, y: Value) -> Result<Value, TaskError> {
    plus(x, y)
}

#[task(name = "t.integration.tasks.add_with_result")]
async fn add_with_result(x: Value, y: Value) -> Result<Value, TaskError> {
    plus(x, y)
}

#[derive(Serialize, Deserialize)]
struct Addends {
    x: i64,
    y: i64,
}

#[derive(Serialize, Deserialize)]
struct Sum {
    result: i64,
}

#[task(name = "t.integration.tasks.add_pydantic")]
async fn add_pydantic(data: Addends) -> Sum {
    let result = data.x + data.y;
    Sum { result }
}

#[task(name = "t.integration.tasks.add_pydantic_string_annotations")]
async fn add_pydantic_string_annotations(data: Addends) -> Sum {
    let result = data.x + data.y;
    Sum { result }
}

#[task(name = "t.integration.tasks.tsum")]
pub(crate) async fn tsum(nums: Vec<Value>) -> Result<Value, TaskError> {
    sum(nums)
}

#[task(name = "t.integration.tasks.xsum")]
async fn xsum(nums: Vec<Value>) -> Result<Value, TaskError> {
    let flat = nums.into_iter().map(|num| match num {
        Value::Array(inner) => sum(inner),
        num => Ok(num),
    });
    sum(flat.collect::<Result<Vec<_>, _>>()?)
}

#[task(name = "t.integration.tasks.delayed_sum")]
async fn delayed_sum(
    numbers: Vec<Value>,
    #[default(1.0)] pause_time: f64,
) -> Result<Value, TaskError> {
    tokio::time::sleep(Duration::from_secs_f64(pause_time)).await;
    sum(numbers)
}

#[task(name = "t.integration.tasks.write_to_file_and_return_int")]
fn write_to_file_and_return_int(file_name: String, i: i64) -> Result<i64, TaskError> {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file_name)?;
    writeln!(file, "{i}")?;
    Ok(i)
}

#[allow(clippy::print_stdout, reason = "printing is what this task is for")]
#[task(name = "t.integration.tasks.print_unicode")]
async fn print_unicode(
    #[default("håå®ƒ valmuefrø".to_owned())] log_message: String,
    #[default("hiöäüß".to_owned())] print_message: String,
) {
    println!("{log_message}\n{print_message}");
}

#[task(name = "t.integration.tasks.return_exception")]
async fn return_exception(e: Value) -> (Value, bool) {
    (e, true)
}

#[task(name = "t.integration.tasks.replaced_with_me")]
pub(crate) async fn replaced_with_me() -> bool {
    true
}

pub(crate) fn sum(numbers: Vec<Value>) -> Result<Value, TaskError> {
    numbers.into_iter().try_fold(Value::Int(0), plus)
}

/// Python's `+`, as far as the suite goes: numbers, texts and lists.
fn plus(x: Value, y: Value) -> Result<Value, TaskError> {
    Ok(match (x, y) {
        (Value::Int(x), Value::Int(y)) => Value::Int(x.checked_add(y).ok_or_else(overflow)?),
        (Value::Float(x), Value::Float(y)) => Value::Float(x + y),
        (Value::Str(x), Value::Str(y)) => Value::Str(x + &y),
        (Value::Array(mut x), Value::Array(y)) => {
            x.extend(y);
            Value::Array(x)
        }
        (x, y) => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => Value::Float(x + y),
            _ => {
                let text = format!("expected two numbers, found {} and {}", x.kind(), y.kind());
                return Err(TaskError::python("TypeError", text));
            }
        },
    })
}

fn overflow() -> TaskError {
    TaskError::python(
        "OverflowError",
        "expected a number of 64 bits, found a longer one",
    )
}
