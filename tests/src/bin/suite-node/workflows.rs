//! Tasks that send, replace themselves, or add to the chord that they are in.

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::ResultTuple;
use celeriac::{AppBuilder, Call, Context, Signature, TaskError, Value, task};

use crate::errors::{fail, raise_error};
use crate::plain::{add, identity, replaced_with_me, tsum};
use crate::records::{push, redis_echo};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(chain_add)
        .task(chord_add)
        .task(build_chain_inside_task)
        .task(add_replaced)
        .task(record_replaced_task_nesting)
        .task(add_replaced_with_chain)
        .task(replace_with_chain)
        .task(replace_with_chain_which_raises)
        .task(replace_with_empty_chain)
        .task(replace_with_chain_which_contains_a_group)
        .task(replace_with_stamped_task)
        .task(fail_replaced)
        .task(add_to_all)
        .task(add_to_all_to_chord)
        .task(add_chord_to_chord)
        .task(second_order_replace1)
        .task(second_order_replace2)
}

#[task(name = "t.integration.tasks.chain_add")]
async fn chain_add(ctx: Context, x: Value, y: Value) -> Result<(), TaskError> {
    add.call(x.clone(), x, None)
        .then(add.partial().arg(y))
        .send(&ctx)
        .await?;
    Ok(())
}

#[task(name = "t.integration.tasks.chord_add")]
async fn chord_add(ctx: Context, x: Value, y: Value) -> Result<(), TaskError> {
    let sum = chord([plus(&x, &x)], add.partial().arg(y));
    Call::<Value>::from(sum).send(&ctx).await?;
    Ok(())
}

/// Returns what a client can wait on.
#[task(name = "t.integration.tasks.build_chain_inside_task")]
async fn build_chain_inside_task(ctx: Context) -> Result<ResultTuple, TaskError> {
    let both = group([add.partial().arg(3), add.partial().arg(4)]);
    let steps: [Signature; 4] = [
        plus(&1.into(), &1.into()).into(),
        add.partial().arg(2).into(),
        both,
        add.partial().arg(5).into(),
    ];
    let sent = Call::<Value>::from(chain(steps)).send(&ctx).await?;
    Ok(sent.tuple())
}

#[task(name = "t.integration.tasks.add_replaced")]
async fn add_replaced(ctx: Context, x: Value, y: Value) -> Result<(), TaskError> {
    Err(ctx.replace(plus(&x, &y)))
}

#[task(name = "t.integration.tasks.record_replaced_task_nesting")]
async fn record_replaced_task_nesting(
    ctx: Context,
    replacements: u32,
    #[default(Vec::new())] mut nesting: Vec<u32>,
) -> Result<Vec<u32>, TaskError> {
    nesting.push(ctx.request().replaced_task_nesting());
    match replacements.checked_sub(1) {
        None => Ok(nesting),
        Some(left) => Err(ctx.replace(record_replaced_task_nesting.call(left, nesting))),
    }
}

#[task(name = "t.integration.tasks.add_replaced_with_chain")]
async fn add_replaced_with_chain(ctx: Context, x: Value, y: Value) -> Result<(), TaskError> {
    Err(ctx.replace(plus(&x, &y).then(identity.partial())))
}

#[task(name = "t.integration.tasks.replace_with_chain")]
async fn replace_with_chain(
    ctx: Context,
    #[args] args: Vec<Value>,
    link_msg: Option<String>,
) -> Result<(), TaskError> {
    let steps = identity.partial().args(args).then(identity.partial());
    Err(ctx.replace(steps.link(echo(link_msg))))
}

#[task(name = "t.integration.tasks.replace_with_chain_which_raises")]
async fn replace_with_chain_which_raises(
    ctx: Context,
    #[args] args: Vec<Value>,
    link_msg: Option<String>,
) -> Result<(), TaskError> {
    let steps = identity.partial().args(args).then(raise_error.partial());
    Err(ctx.replace(steps.link_error(echo(link_msg))))
}

#[task(name = "t.integration.tasks.replace_with_empty_chain")]
async fn replace_with_empty_chain(
    ctx: Context,
    #[args] _args: Vec<Value>,
) -> Result<(), TaskError> {
    Err(ctx.replace(chain([] as [Signature; 0])))
}

#[task(name = "t.integration.tasks.replace_with_chain_which_contains_a_group")]
async fn replace_with_chain_which_contains_a_group(ctx: Context) -> Result<(), TaskError> {
    let both = group([add.partial().arg(1), add.partial().arg(1)]);
    Err(ctx.replace(chain([plus(&1.into(), &2.into()).into(), both])))
}

#[task(name = "t.integration.tasks.replace_with_stamped_task")]
async fn replace_with_stamped_task(
    ctx: Context,
    replace_with: Option<Signature>,
) -> Result<(), TaskError> {
    let call = replace_with.map_or_else(|| replaced_with_me.call(), Call::from);
    Err(ctx.replace(call.stamp("StampOnReplace", "This is the replaced task")))
}

#[task(name = "t.integration.tasks.fail_replaced")]
async fn fail_replaced(ctx: Context, #[args] args: Vec<Value>) -> Result<(), TaskError> {
    Err(ctx.replace(fail.partial().args(args).immutable()))
}

#[task(name = "t.integration.tasks.add_to_all")]
async fn add_to_all(ctx: Context, nums: Vec<Value>, val: Value) -> Result<(), TaskError> {
    Err(ctx.replace(group(nums.iter().map(|num| plus(num, &val)))))
}

#[task(name = "t.integration.tasks.add_to_all_to_chord")]
async fn add_to_all_to_chord(ctx: Context, nums: Vec<Value>, val: Value) -> Result<i64, TaskError> {
    for num in &nums {
        ctx.add_to_chord(plus(num, &val)).await?;
    }
    Ok(0)
}

#[task(name = "t.integration.tasks.add_chord_to_chord")]
async fn add_chord_to_chord(ctx: Context, nums: Vec<Value>, val: Value) -> Result<i64, TaskError> {
    let sums = nums.iter().map(|num| plus(num, &val));
    ctx.add_to_chord::<Value>(chord(sums, tsum.partial()))
        .await?;
    Ok(0)
}

#[task(name = "t.integration.tasks.second_order_replace1")]
async fn second_order_replace1(
    ctx: Context,
    #[default(false)] state: bool,
) -> Result<(), TaskError> {
    if state {
        return push("redis-echo", "Out A".into()).await;
    }
    push("redis-echo", "In A".into()).await?;
    let again = second_order_replace1.partial().kwarg("state", true);
    Err(ctx.replace(second_order_replace2.partial().then(again.immutable())))
}

#[task(name = "t.integration.tasks.second_order_replace2")]
async fn second_order_replace2(
    ctx: Context,
    #[default(false)] state: bool,
) -> Result<(), TaskError> {
    if state {
        return push("redis-echo", "Out B".into()).await;
    }
    push("redis-echo", "In B".into()).await?;
    let again = second_order_replace2.partial().kwarg("state", true);
    Err(ctx.replace(redis_echo.partial().arg("In/Out C").then(again.immutable())))
}

fn plus(x: &Value, y: &Value) -> Call<Value> {
    add.partial().arg(x).arg(y)
}

/// What follows the replacing chain: echoes what it is given, or a text of its own.
fn echo(text: Option<String>) -> Call<()> {
    match text {
        None => redis_echo.partial(),
        Some(text) => redis_echo.partial().arg(text).immutable(),
    }
}
