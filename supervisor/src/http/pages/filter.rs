//! The filter of a list: it lives in the address. Pure.

use jiff::Timestamp;

use super::form::Fields;
use super::moment;
use super::text;
use crate::http::Problem;

/// The fields of a filter as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    base: &'static str,
    pairs: Vec<(&'static str, String)>,
}

impl Filter {
    /// Takes what was written into these fields; `base` is the list's address.
    pub(super) fn of(base: &'static str, names: &[&'static str], fields: &Fields) -> Self {
        let pairs = names
            .iter()
            .filter_map(|name| Some((*name, fields.get(name)?.to_owned())));
        Self {
            base,
            pairs: pairs.collect(),
        }
    }

    /// What was written into a field, or nothing.
    pub(super) fn get(&self, name: &str) -> &str {
        let pair = self.pairs.iter().find(|(field, _)| *field == name);
        pair.map_or("", |(_, value)| value)
    }

    pub(super) fn some(&self, name: &str) -> Option<String> {
        Some(self.get(name))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// Reads a field as a moment, in RFC 3339.
    pub(super) fn moment(&self, name: &str, now: Timestamp) -> Result<Option<String>, Problem> {
        let moment = moment::read(name, self.get(name), now)?;
        Ok(moment.map(|moment| moment.to_string()))
    }

    /// What was chosen, by the names of the fields.
    pub(super) fn pairs(&self) -> &[(&'static str, String)] {
        &self.pairs
    }

    pub(super) fn is_set(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Writes it as a query.
    pub(super) fn query(&self) -> String {
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", text::url(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The address of the list with this filter, from a cursor on.
    pub(super) fn href(&self, cursor: Option<&str>) -> String {
        let mut parts = vec![self.query()];
        parts.extend(cursor.map(|cursor| format!("cursor={}", text::url(cursor))));
        parts.retain(|part| !part.is_empty());
        match parts.is_empty() {
            true => self.base.to_owned(),
            false => format!("{}?{}", self.base, parts.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_chosen_comes_back_in_the_address() {
        let fields = Fields::of_query("name=a+b%26c&state=&other=x&queue=mail");
        let filter = Filter::of("/tasks", &["name", "state", "queue"], &fields);
        assert_eq!(filter.query(), "name=a%20b%26c&queue=mail");
        assert_eq!(
            filter.href(Some("x/y")),
            "/tasks?name=a%20b%26c&queue=mail&cursor=x%2Fy"
        );
        assert_eq!(filter.get("state"), "");
        assert!(filter.is_set());
        let again = Filter::of(
            "/tasks",
            &["name", "state", "queue"],
            &Fields::of_query(&filter.query()),
        );
        assert_eq!(again, filter);
        assert_eq!(
            Filter::of("/tasks", &["name"], &Fields::default()).href(None),
            "/tasks"
        );
    }
}
