//! The form of a schedule entry: from an entry, and to one. Pure.
//!
//! What the form has no fields for is carried along in one that is not shown, so that an
//! edit loses nothing.

use celeriac::Entry;
use serde_json::{Map, Value};

use crate::http::Problem;
use crate::http::pages::form::Fields;
use crate::http::pages::text::{Escaped, Markup};

/// The fields of the form, as they were written, and what is wrong with them.
#[derive(Debug, Default, Clone)]
pub(in crate::http::pages) struct EntryForm {
    values: Vec<(String, String)>,
    wrong: Option<(String, String)>,
    /// What is wrong with the whole, where no field can be named.
    pub(in crate::http::pages) problem: String,
}

/// Kinds of schedules, and how people call them.
pub(in crate::http::pages) const KINDS: [(&str, &str); 4] = [
    ("crontab", "cron line"),
    ("every", "interval"),
    ("solar", "by the sun"),
    ("once", "one time"),
];
/// Events of the sun.
pub(in crate::http::pages) const EVENTS: [&str; 9] = [
    "sunrise",
    "sunset",
    "solar_noon",
    "dawn_civil",
    "dusk_civil",
    "dawn_nautical",
    "dusk_nautical",
    "dawn_astronomical",
    "dusk_astronomical",
];

/// Fields that are texts, both here and in an entry.
const TEXTS: [&str; 9] = [
    "name",
    "task",
    "zone",
    "queue",
    "expires",
    "misfire",
    "deadline",
    "jitter",
    "description",
];
/// Fields that say when, by the kind that they belong to.
const WHEN: [(&str, &str); 4] = [
    ("crontab", "crontab"),
    ("every", "every"),
    ("every", "start"),
    ("once", "once"),
];
/// What the form has fields for.
const KNOWN: [&str; 18] = [
    "name",
    "task",
    "zone",
    "queue",
    "expires",
    "misfire",
    "deadline",
    "jitter",
    "description",
    "crontab",
    "every",
    "start",
    "once",
    "solar",
    "args",
    "kwargs",
    "priority",
    "enabled",
];

impl EntryForm {
    /// The form of a new entry.
    pub(in crate::http::pages) fn fresh() -> Self {
        let mut form = Self::default();
        form.set("kind", "crontab");
        form.set("enabled", "true");
        form
    }

    /// The form of an entry that is there.
    pub(in crate::http::pages) fn of(entry: &Entry, revision: i64) -> Self {
        let mut form = Self::default();
        // An entry always has a form; without it the fields are empty and it cannot be saved.
        let Ok(Value::Object(mut fields)) = serde_json::to_value(entry) else {
            return form;
        };
        for name in TEXTS.iter().chain(WHEN.iter().map(|(_, name)| name)) {
            if let Some(value) = fields.get(*name) {
                form.set(name, &plain(value));
            }
        }
        for (name, empty) in [("args", "[]"), ("kwargs", "{}")] {
            let text = fields.get(name).map(Value::to_string).unwrap_or_default();
            if text != empty {
                form.set(name, &text);
            }
        }
        if let Some(priority) = fields.get("priority") {
            form.set("priority", &plain(priority));
        }
        if let Some(Value::Object(solar)) = fields.get("solar") {
            for name in ["event", "latitude", "longitude"] {
                form.set(name, &solar.get(name).map(plain).unwrap_or_default());
            }
        }
        let kind = KINDS
            .into_iter()
            .find(|(kind, _)| fields.contains_key(*kind));
        form.set("kind", kind.map_or("crontab", |(kind, _)| kind));
        form.set("enabled", if entry.enabled { "true" } else { "" });
        form.set("revision", &revision.to_string());
        fields.retain(|name, _| !KNOWN.contains(&name.as_str()));
        if !fields.is_empty() {
            form.set("rest", &Value::Object(fields).to_string());
        }
        form
    }

    /// The form as it was sent.
    pub(in crate::http::pages) fn sent(fields: &Fields) -> Self {
        let values = fields.0.iter();
        Self {
            values: values
                .map(|(name, value)| (name.clone(), value.trim().to_owned()))
                .collect(),
            ..Self::default()
        }
    }

    /// Makes the entry's table of what was written; an empty field is not in it.
    pub(in crate::http::pages) fn table(
        &self,
        fields: &Fields,
    ) -> Result<Map<String, Value>, Problem> {
        let mut table = fields.object("rest")?;
        let mut put = |name: &str, value: Value| drop(table.insert(name.to_owned(), value));
        for name in TEXTS {
            if !self.get(name).is_empty() {
                put(name, self.get(name).into());
            }
        }
        let kind = self.get("kind");
        for (of, name) in WHEN {
            if of == kind && (!self.get(name).is_empty() || name == kind) {
                put(name, self.get(name).into());
            }
        }
        if kind == "solar" {
            let degrees = |name: &str| {
                let number = fields
                    .number::<f64>(name)?
                    .filter(|degrees| degrees.is_finite());
                number.ok_or_else(|| Problem::field(name, "degrees, such as 52.5", "nothing"))
            };
            let mut solar = Map::new();
            solar.insert("event".to_owned(), self.get("event").into());
            solar.insert("latitude".to_owned(), degrees("latitude")?.into());
            solar.insert("longitude".to_owned(), degrees("longitude")?.into());
            put("solar", solar.into());
        }
        if !self.get("args").is_empty() {
            put("args", fields.array("args")?.into());
        }
        if !self.get("kwargs").is_empty() {
            put("kwargs", fields.object("kwargs")?.into());
        }
        if let Some(priority) = fields.number::<u8>("priority")? {
            put("priority", priority.into());
        }
        put("enabled", (self.get("enabled") == "true").into());
        Ok(table)
    }

    /// Takes over what a refusal says: the field that is wrong, if it can be told.
    pub(in crate::http::pages) fn refuse(&mut self, problem: &Problem) {
        let detail = problem.detail();
        let names = KNOWN.into_iter().chain(["event", "latitude", "longitude"]);
        let starts = |name: &&str| {
            let rest = detail.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([':', ' ', '.', ',', '[']))
        };
        match names
            .into_iter()
            .filter(starts)
            .max_by_key(|name| name.len())
        {
            Some(name) => self.wrong = Some((name.to_owned(), detail.to_owned())),
            None => self.problem = detail.to_owned(),
        }
    }

    pub(in crate::http::pages) fn get(&self, name: &str) -> &str {
        let pair = self.values.iter().find(|(field, _)| field == name);
        pair.map_or("", |(_, value)| value)
    }

    /// The attributes of a field that is wrong.
    pub(in crate::http::pages) fn invalid(&self, name: &str) -> Markup {
        match &self.wrong {
            Some((field, _)) if field == name => Markup(format!(
                " aria-invalid=\"true\" aria-describedby=\"wrong-{name}\""
            )),
            _ => Markup::default(),
        }
    }

    /// What is wrong with a field.
    pub(in crate::http::pages) fn wrong(&self, name: &str) -> Markup {
        match &self.wrong {
            Some((field, text)) if field == name => Markup(format!(
                "<span class=\"wrong\" id=\"wrong-{name}\" role=\"alert\">{}</span>",
                Escaped(text)
            )),
            _ => Markup::default(),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.values.push((name.to_owned(), value.to_owned()));
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::http::pages::text::url;

    /// The form as a browser sends it back.
    fn fields(form: &EntryForm) -> Fields {
        let pairs = form
            .values
            .iter()
            .map(|(name, value)| format!("{name}={}", url(value)));
        Fields::of_query(&pairs.collect::<Vec<_>>().join("&"))
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry::every(Duration::from_secs(90), "app.count")
                .unwrap()
                .args([7])
                .jitter(Duration::from_secs(3)),
            Entry::crontab("30 3 * * mon-fri", "app.report")
                .unwrap()
                .named("r 1")
                .zone("Europe/Berlin")
                .unwrap(),
            Entry::once("2026-12-24T18:00:00Z", "app.party")
                .unwrap()
                .disabled()
                .kwarg("a", "b"),
            Entry::solar(celeriac::schedule::SunEvent::Sunset, 52.5, 13.4, "lamps.on")
                .unwrap()
                .queue("slow"),
        ]
    }

    #[test]
    fn an_entry_survives_the_form() {
        for entry in entries() {
            let form = EntryForm::of(&entry, 3);
            let fields = fields(&form);
            let table = EntryForm::sent(&fields).table(&fields).unwrap();
            let again: Entry = serde_json::from_value(Value::Object(table)).unwrap();
            assert_eq!(again, entry);
        }
    }

    #[test]
    fn what_has_no_field_is_carried_along() {
        let mut entry = entries().remove(0);
        entry.options.routing_key = Some("key".to_owned());
        entry.options.time_limit = Some(Duration::from_secs(9));
        let form = EntryForm::of(&entry, 0);
        let fields = fields(&form);
        let table = EntryForm::sent(&fields).table(&fields).unwrap();
        let again: Entry = serde_json::from_value(Value::Object(table)).unwrap();
        assert_eq!(again, entry);
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let mut form = EntryForm::fresh();
        form.refuse(&Problem::field("crontab", "five fields", "'x'"));
        assert!(form.wrong("crontab").0.contains("expected five fields"));
        assert!(form.invalid("crontab").0.contains("aria-invalid"));
        assert_eq!(form.wrong("task"), Markup::default());
        let mut form = EntryForm::fresh();
        form.refuse(&Problem::invalid("it rains"));
        assert_eq!(form.problem, "it rains");
    }
}
