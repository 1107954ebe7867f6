//! Calling many tasks off, and sending many again.

use axum::extract::State;
use axum::response::Response;

use super::{FIELDS, HOME, query};
use crate::access::Identity;
use crate::http::api::page::Limit;
use crate::http::api::tasks;
use crate::http::extract::Body;
use crate::http::pages::filter::Filter;
use crate::http::pages::form::{Fields, body};
use crate::http::pages::shell::{done, went};
use crate::http::pages::task;
use crate::http::pages::text::grouped;
use crate::http::{Desk, Problem};

/// How many tasks one form may mean.
const MOST: usize = 10_000;
/// How many ids one command to the nodes names.
const NAMED: usize = 500;
/// How many tasks are read at once.
const READ: usize = 1_000;

pub(in crate::http::pages) async fn revoke(
    State(desk): State<Desk>,
    who: Identity,
    fields: Fields,
) -> Result<Response, Problem> {
    let ids = meant(&desk, &fields).await?;
    for some in ids.chunks(NAMED) {
        task::call_off(&desk, &who, some, &fields).await?;
    }
    let count = grouped(ids.len() as u64);
    Ok(done(
        &back(&fields),
        format!("Every node was told to call {count} tasks off."),
    ))
}

pub(in crate::http::pages) async fn replay(
    State(desk): State<Desk>,
    who: Identity,
    fields: Fields,
) -> Result<Response, Problem> {
    let ids = meant(&desk, &fields).await?;
    let (mut sent, mut failed, mut why) = (0_u64, 0_u64, None);
    for id in &ids {
        let again = async {
            let known = tasks::look_up(&desk, id).await?;
            task::replay::as_it_was(&desk, &who, &known).await
        };
        match again.await {
            Ok(_) => sent += 1,
            Err(problem) => {
                failed += 1;
                why.get_or_insert_with(|| problem.detail().to_owned());
            }
        }
    }
    let text = format!("{} tasks were sent again.", grouped(sent));
    Ok(match why {
        None => done(&back(&fields), text),
        Some(why) => went(
            &back(&fields),
            "warn",
            format!("{text} {} were not: {why}.", grouped(failed)),
        ),
    })
}

/// Returns the ids that a form means: those that were ticked, or all that match the
/// filter when their number was typed.
async fn meant(desk: &Desk, fields: &Fields) -> Result<Vec<String>, Problem> {
    if fields.get("which") != Some("matching") {
        let ids: Vec<_> = fields.all("id").map(str::to_owned).collect();
        if ids.is_empty() {
            let expected = "ticked tasks, or all that match the filter";
            return Err(Problem::field("id", expected, "none ticked"));
        }
        return Ok(ids);
    }
    let filter = Filter::of(HOME, &FIELDS, fields);
    let mut query = query(desk, &filter, &Fields::default())?;
    query.limit = Some(Limit(READ));
    let mut ids = Vec::new();
    loop {
        let page = tasks::search(desk, &query).await?;
        ids.extend(page.tasks.into_iter().map(|task| task.id));
        if ids.len() > MOST {
            let expected = format!("a filter that at most {MOST} tasks match");
            return Err(Problem::field("filter", expected, "more"));
        }
        let Some(cursor) = page.next_cursor else {
            break;
        };
        let Body(cursor) = body(cursor.into())?;
        query.cursor = Some(cursor);
    }
    match fields.number::<usize>("confirm")? {
        Some(count) if count == ids.len() => Ok(ids),
        other => {
            let found = other.map_or_else(|| "nothing".to_owned(), |count| count.to_string());
            let expected = format!("{}, as many tasks match", ids.len());
            Err(Problem::field("confirm", expected, found))
        }
    }
}

/// The list with the filter that was chosen.
fn back(fields: &Fields) -> String {
    Filter::of(HOME, &FIELDS, fields).href(None)
}
