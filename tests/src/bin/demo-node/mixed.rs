//! The tasks of the mixed cluster, as in `tests/python/mixed_tasks.py`.
//!
//! Each returns where it and those before it ran: a list of label and worker.

use celeriac::{AppBuilder, Context, task};

type Visit = (String, String);

/// Adds them all to an app.
pub(crate) fn add(app: AppBuilder) -> AppBuilder {
    app.task(start).task(visit).task(gather)
}

fn here(ctx: &Context, label: String) -> Visit {
    (label, ctx.request().hostname.clone())
}

#[task(name = "mixed.start")]
async fn start(ctx: Context, label: String) -> Vec<Visit> {
    vec![here(&ctx, label)]
}

#[task(name = "mixed.visit")]
async fn visit(ctx: Context, mut visits: Vec<Visit>, label: String) -> Vec<Visit> {
    visits.push(here(&ctx, label));
    visits
}

#[task(name = "mixed.gather")]
async fn gather(ctx: Context, lists: Vec<Vec<Visit>>, label: String) -> Vec<Visit> {
    let mut visits = lists.concat();
    visits.push(here(&ctx, label));
    visits
}
