//! Tasks that return workflows or take them apart; none of these is ever sent.

use celeriac::canvas::{Kind, chain, chord, group};
use celeriac::{AppBuilder, Signature, TaskError, Value, task};

use crate::plain::add;

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(return_nested_signature_chain_chain)
        .task(return_nested_signature_chain_group)
        .task(return_nested_signature_chain_chord)
        .task(return_nested_signature_group_chain)
        .task(return_nested_signature_group_group)
        .task(return_nested_signature_group_chord)
        .task(return_nested_signature_chord_chain)
        .task(return_nested_signature_chord_group)
        .task(return_nested_signature_chord_chord)
        .task(rebuild_signature)
}

#[task(name = "t.integration.tasks.return_nested_signature_chain_chain")]
async fn return_nested_signature_chain_chain() -> Signature {
    chain([chain([add.partial()])])
}

#[task(name = "t.integration.tasks.return_nested_signature_chain_group")]
async fn return_nested_signature_chain_group() -> Signature {
    chain([group([add.partial()])])
}

#[task(name = "t.integration.tasks.return_nested_signature_chain_chord")]
async fn return_nested_signature_chain_chord() -> Signature {
    chain([chord([add.partial()], add.partial())])
}

#[task(name = "t.integration.tasks.return_nested_signature_group_chain")]
async fn return_nested_signature_group_chain() -> Signature {
    group([chain([add.partial()])])
}

#[task(name = "t.integration.tasks.return_nested_signature_group_group")]
async fn return_nested_signature_group_group() -> Signature {
    group([group([add.partial()])])
}

#[task(name = "t.integration.tasks.return_nested_signature_group_chord")]
async fn return_nested_signature_group_chord() -> Signature {
    group([chord([add.partial()], add.partial())])
}

#[task(name = "t.integration.tasks.return_nested_signature_chord_chain")]
async fn return_nested_signature_chord_chain() -> Signature {
    chord([chain([add.partial()])], add.partial())
}

#[task(name = "t.integration.tasks.return_nested_signature_chord_group")]
async fn return_nested_signature_chord_group() -> Signature {
    chord([group([add.partial()])], add.partial())
}

#[task(name = "t.integration.tasks.return_nested_signature_chord_chord")]
async fn return_nested_signature_chord_chord() -> Signature {
    chord([chord([add.partial()], add.partial())], add.partial())
}

/// Fails unless everything in a workflow is one itself.
#[task(name = "t.integration.tasks.rebuild_signature")]
async fn rebuild_signature(sig_dict: Signature) -> Result<(), TaskError> {
    rebuild(&sig_dict)
}

fn rebuild(signature: &Signature) -> Result<(), TaskError> {
    let parts = |name: &str| match signature.kwargs.get(name) {
        Some(Value::Array(parts)) => parts.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let parts = match Kind::of(signature) {
        Kind::Task => return Ok(()),
        Kind::Chain | Kind::Group => parts("tasks"),
        Kind::Chord => [parts("header"), parts("body")].concat(),
    };
    parts
        .into_iter()
        .try_for_each(|part| rebuild(&Signature::from_value(part)?))
}
