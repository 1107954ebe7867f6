//! The filter of the list of tasks: it lives in the address.

use crate::http::Problem;
use crate::http::api::tasks::TaskQuery;
use crate::http::pages::form::Fields;
use crate::http::pages::text;

/// The filter as it was written, for the form and for links.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http::pages) struct Filter {
    pub(in crate::http::pages) name: String,
    pub(in crate::http::pages) state: String,
    pub(in crate::http::pages) node: String,
    pub(in crate::http::pages) queue: String,
    pub(in crate::http::pages) error: String,
    pub(in crate::http::pages) text: String,
    pub(in crate::http::pages) since: String,
    pub(in crate::http::pages) until: String,
}

impl Filter {
    pub(in crate::http::pages) fn of(fields: &Fields) -> Self {
        Self {
            name: fields.text("name"),
            state: fields.text("state"),
            node: fields.text("node"),
            queue: fields.text("queue"),
            error: fields.text("error"),
            text: fields.text("text"),
            since: fields.text("since"),
            until: fields.text("until"),
        }
    }

    /// Returns what was chosen, by the names of the fields.
    pub(in crate::http::pages) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("name", self.name.as_str()),
            ("state", &self.state),
            ("node", &self.node),
            ("queue", &self.queue),
            ("error", &self.error),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    pub(in crate::http::pages) fn is_set(&self) -> bool {
        !self.pairs().is_empty()
    }

    /// Writes it as a query.
    pub(in crate::http::pages) fn query_text(&self) -> String {
        let pairs = self.pairs().into_iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", text::url(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The address of the list with this filter.
    pub(in crate::http::pages) fn href(&self, cursor: Option<&str>) -> String {
        let mut query = self.query_text();
        if let Some(cursor) = cursor {
            let and = if query.is_empty() { "" } else { "&" };
            query = format!("{query}{and}cursor={}", text::url(cursor));
        }
        match query.is_empty() {
            true => "/tasks".to_owned(),
            false => format!("/tasks?{query}"),
        }
    }

    /// Makes the question to the history.
    pub(in crate::http::pages) fn query(&self, fields: &Fields) -> Result<TaskQuery, Problem> {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        Ok(TaskQuery {
            name: some(&self.name),
            state: some(&self.state),
            worker: some(&self.node),
            cursor: fields.number("cursor")?.map(crate::http::api::page::Cursor),
            ..TaskQuery::default()
        })
    }
}
