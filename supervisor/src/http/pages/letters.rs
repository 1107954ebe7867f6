//! The page of the dead letters.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use celeriac_protocol::letter::Reason;
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::form::{Fields, body};
use super::shell::{self, May, Place, Shell, Visit, went};
use super::text::{self, Markup, grouped};
use crate::access::{Identity, Role};
use crate::http::api::letters::{self, BulkAnswer, BulkOrder, LetterPage, LetterQuery, LetterView};
use crate::http::extract::Body;
use crate::http::{Desk, Problem};

#[derive(Template)]
#[template(path = "letters.html")]
struct Letters {
    shell: Shell,
    filter: Filter,
    found: String,
    wrong: String,
    tabs: Vec<Tab>,
    reasons: Vec<Choice>,
    letters: Vec<Row>,
    matching: u64,
    /// Whether there is something to do about them.
    acts: bool,
    operate: May,
    administer: May,
    paged: bool,
    newest: String,
    next: Option<String>,
}

struct Tab {
    name: &'static str,
    href: String,
    here: bool,
}

struct Choice {
    key: &'static str,
    name: String,
    here: bool,
}

struct Row {
    id: String,
    name: String,
    task: String,
    state: String,
    error: String,
    arguments: String,
    queue: String,
    tries: String,
    when: Markup,
}

pub(super) const HOME: &str = "/dead-letters";
const FIELDS: [&str; 9] = [
    "name",
    "reason",
    "queue",
    "node",
    "error",
    "arguments",
    "since",
    "until",
    "state",
];
/// How often a bulk order goes on where time ran out.
const TURNS: usize = 20;

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let fields = Fields::of_query(&visit.query);
    let filter = Filter::of(HOME, &FIELDS, &fields);
    let mut shell = Shell::new(&desk, &visit, Place::Letters, "Dead letters").live("letter");
    let (page, wrong) = match search(&desk, &filter, &fields).await {
        Ok(page) => (Some(page), String::new()),
        Err(problem) if problem.status() == 400 => (None, problem.detail().to_owned()),
        Err(problem) => {
            shell = shell.trouble(&problem);
            (None, String::new())
        }
    };
    let (letters, matching, cursor) = page.map_or((Vec::new(), 0, None), |page| {
        (page.letters, page.matching, page.next_cursor)
    });
    let state = filter.get("state");
    let shown = Letters {
        found: match matching {
            _ if !wrong.is_empty() => String::new(),
            0 => "none".to_owned(),
            1 => "one letter".to_owned(),
            count => format!("{} letters", grouped(count)),
        },
        wrong,
        tabs: ["kept", "replayed", "discarded", "all"]
            .into_iter()
            .map(|name| Tab {
                name,
                href: if name == "kept" {
                    HOME.to_owned()
                } else {
                    format!("{HOME}?state={name}")
                },
                here: if state.is_empty() {
                    name == "kept"
                } else {
                    name == state
                },
            })
            .collect(),
        reasons: Reason::ALL
            .into_iter()
            .map(|reason| Choice {
                key: reason.as_str(),
                name: words(reason.as_str()),
                here: filter.get("reason") == reason.as_str(),
            })
            .collect(),
        acts: state.is_empty() || state == "kept",
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        letters: letters.iter().map(Row::of).collect(),
        matching,
        paged: fields.get("cursor").is_some(),
        newest: filter.href(None),
        next: cursor.map(|cursor| filter.href(Some(&cursor))),
        filter,
        shell,
    };
    Ok(shell::page(&shown.shell, &shown))
}

async fn search(desk: &Desk, filter: &Filter, fields: &Fields) -> Result<LetterPage, Problem> {
    let now = text::now();
    let query = LetterQuery {
        reason: filter.some("reason"),
        name: filter.some("name"),
        queue: filter.some("queue"),
        node: filter.some("node"),
        task: None,
        error: filter.some("error"),
        arguments: filter.some("arguments"),
        since: filter.moment("since", now)?,
        until: filter.moment("until", now)?,
        state: filter.some("state"),
        limit: None,
        cursor: fields.cursor("cursor")?,
    };
    letters::search(desk, &query).await
}

pub(super) async fn replay(
    State(desk): State<Desk>,
    who: Identity,
    fields: Fields,
) -> Result<Response, Problem> {
    let mut done = Done::default();
    let mut order = order(&fields)?;
    for _ in 0..TURNS {
        let answer = letters::replay_all(&desk, &who, order.clone()).await?;
        if !done.add(answer, &mut order) {
            break;
        }
    }
    Ok(done.answer("replayed"))
}

pub(super) async fn discard(
    State(desk): State<Desk>,
    who: Identity,
    fields: Fields,
) -> Result<Response, Problem> {
    let mut done = Done::default();
    let mut order = order(&fields)?;
    for _ in 0..TURNS {
        let answer = letters::discard_all(&desk, &who, order.clone()).await?;
        if !done.add(answer, &mut order) {
            break;
        }
    }
    Ok(done.answer("discarded"))
}

/// Makes the order: the ticked ones, or all that match when their count was typed.
fn order(fields: &Fields) -> Result<BulkOrder, Problem> {
    let order = if fields.get("which") == Some("matching") {
        let filter = Filter::of(HOME, &FIELDS, fields);
        let now = text::now();
        let mut chosen = Map::new();
        for name in FIELDS.into_iter().filter(|name| *name != "state") {
            let value = match name {
                "since" | "until" => filter.moment(name, now)?,
                name => filter.some(name),
            };
            chosen.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
        let confirm = fields.number::<u64>("confirm")?;
        let confirm = confirm.ok_or_else(|| {
            Problem::field("confirm", "the number of letters that match", "nothing")
        })?;
        json!({ "filter": chosen, "confirm": confirm })
    } else {
        let ids: Vec<_> = fields.all("id").collect();
        if ids.is_empty() {
            let expected = "ticked letters, or all that match";
            return Err(Problem::field("id", expected, "none ticked"));
        }
        json!({ "ids": ids, "confirm": ids.len() })
    };
    let Body(order) = body(order)?;
    Ok(order)
}

/// What became of a bulk order, over its turns.
#[derive(Default)]
struct Done {
    done: u64,
    failed: u64,
    why: Option<String>,
    unfinished: bool,
}

impl Done {
    /// Adds a turn; says whether to go on.
    fn add(&mut self, answer: BulkAnswer, order: &mut BulkOrder) -> bool {
        self.done += answer.done;
        self.failed += answer.failed;
        let first = answer.errors.into_iter().next();
        self.why = self.why.take().or(first.map(|error| error.detail));
        self.unfinished = answer.next_cursor.is_some();
        match answer
            .next_cursor
            .map(|cursor| body::<Cursor>(json!(cursor)))
        {
            Some(Ok(Body(cursor))) => {
                order.cursor = Some(cursor);
                true
            }
            _ => false,
        }
    }

    fn answer(self, did: &str) -> Response {
        let mut text = format!("{} letters {did}.", grouped(self.done));
        if self.failed > 0 {
            let why = self.why.unwrap_or_default();
            text.push_str(&format!(" {} could not be: {why}.", grouped(self.failed)));
        }
        if self.unfinished {
            text.push_str(" Time ran out before the rest; do it again for them.");
        }
        let tone = if self.failed > 0 || self.unfinished {
            "warn"
        } else {
            "good"
        };
        went(HOME, tone, text)
    }
}

type Cursor = crate::http::api::page::Cursor<String>;

/// A cause, in words.
pub(super) fn words(reason: &str) -> String {
    reason.replace(['_', '-'], " ")
}

impl Row {
    fn of(letter: &LetterView) -> Self {
        Self {
            id: letter.id.clone(),
            name: letter
                .name
                .clone()
                .unwrap_or_else(|| "(no task)".to_owned()),
            task: letter.task_id.clone().unwrap_or_default(),
            state: match letter.state {
                "kept" => words(letter.reason),
                state => state.to_owned(),
            },
            error: text::line(&letter.error),
            arguments: text::call(letter.args.as_deref(), letter.kwargs.as_deref()),
            queue: letter.queue.clone(),
            tries: text::count(letter.attempts.map(u64::from)),
            when: text::when(Some(&letter.died_at)),
        }
    }
}
