//! Stamps: headers that mark the tasks of a workflow, so that they can be found and called
//! off together.

use super::{Signature, options::is_present};
use crate::value::{Table, Value};

/// The option, and the header, that names the stamps.
const STAMPED: &str = "stamped_headers";

/// The canvases, nested deeper than this, whose parts are not stamped; none that deep can
/// be sent.
const MAX_DEPTH: usize = 64;

/// Decides how the parts of a workflow are stamped.
///
/// Each method returns stamps by name for what it is shown, and gets those that the parts
/// around it have, with their names under `stamped_headers`. A value that is returned is
/// a stamp unless the table has a `stamped_headers` of its own that does not name it.
/// Only [`on_signature`](Self::on_signature), which is called for each task, has to be
/// written; the others return nothing.
///
/// ```
/// use celeriac_protocol::{Signature, Table, signature::StampingVisitor};
///
/// /// Marks every task with the order that it works for.
/// struct Order(&'static str);
///
/// impl StampingVisitor for Order {
///     fn on_signature(&mut self, _task: &Signature, _headers: &Table) -> Table {
///         Table::from_iter([("order".to_owned(), self.0.into())])
///     }
/// }
///
/// let call = Signature::new("demo.add").stamped(&mut Order("4711"));
/// assert_eq!(call.stamped_headers(), Some(vec!["order"]));
/// assert_eq!(call.option("order"), Some(&"4711".into()));
/// ```
pub trait StampingVisitor {
    /// Stamps a task.
    fn on_signature(&mut self, task: &Signature, headers: &Table) -> Table;

    /// Stamps all that is in a chain.
    fn on_chain_start(&mut self, chain: &Signature, headers: &Table) -> Table {
        let _ = (chain, headers);
        Table::new()
    }

    /// The steps of a chain are stamped.
    fn on_chain_end(&mut self, chain: &Signature, headers: &Table) {
        let _ = (chain, headers);
    }

    /// Stamps all that is in a group.
    fn on_group_start(&mut self, group: &Signature, headers: &Table) -> Table {
        let _ = (group, headers);
        Table::new()
    }

    /// The members of a group are stamped.
    fn on_group_end(&mut self, group: &Signature, headers: &Table) {
        let _ = (group, headers);
    }

    /// Stamps all that is in a chord: the header, which is a group unless this says
    /// otherwise, and the body.
    fn on_chord_header_start(&mut self, chord: &Signature, headers: &Table) -> Table {
        self.on_group_start(&header(chord), headers)
    }

    /// The header of a chord is stamped.
    fn on_chord_header_end(&mut self, chord: &Signature, headers: &Table) {
        self.on_group_end(&header(chord), headers);
    }

    /// Stamps all that is in the body of a chord.
    fn on_chord_body(&mut self, chord: &Signature, headers: &Table) -> Table {
        let _ = (chord, headers);
        Table::new()
    }

    /// Stamps what is called on success.
    fn on_callback(&mut self, callback: &Signature, headers: &Table) -> Table {
        let _ = (callback, headers);
        Table::new()
    }

    /// Stamps what is called on failure.
    fn on_errback(&mut self, errback: &Signature, headers: &Table) -> Table {
        let _ = (errback, headers);
        Table::new()
    }
}

/// What happens when a part has a stamp of that name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Restamp {
    /// The new value takes its place; lists grow.
    #[default]
    Replace,
    /// Both stay, as a list.
    Append,
}

impl Signature {
    /// Stamps a call or a workflow: every task in it, and what they call on success and
    /// on failure.
    #[must_use]
    pub fn stamped(self, visitor: &mut dyn StampingVisitor) -> Self {
        self.stamped_with(Some(visitor), Restamp::Replace, Table::new())
    }

    /// Stamps every task of a call or a workflow alike. The body of a chord is left out,
    /// as with Celery; a [visitor](Self::stamped) stamps it too.
    #[must_use]
    pub fn stamp(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let stamps = Table::from_iter([(name.into(), value.into())]);
        self.stamped_with(None, Restamp::Replace, stamps)
    }

    /// Stamps a call or a workflow by a visitor, with stamps for all parts alike, or with
    /// both.
    #[must_use]
    pub fn stamped_with(
        mut self,
        visitor: Option<&mut dyn StampingVisitor>,
        restamp: Restamp,
        stamps: Table,
    ) -> Self {
        let mut walk = Walk { visitor, restamp };
        walk.part(&mut self, stamps, 0);
        self
    }
}

/// A walk through a workflow.
struct Walk<'a> {
    visitor: Option<&'a mut dyn StampingVisitor>,
    restamp: Restamp,
}

impl Walk<'_> {
    fn part(&mut self, part: &mut Signature, headers: Table, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match part.subtask_type.as_deref() {
            Some("chain") => {
                let headers = self.whole(part, headers, depth, |v, p, h| v.on_chain_start(p, h));
                self.inside(part, "tasks", &headers, depth);
                self.visit(|visitor| visitor.on_chain_end(part, &headers));
            }
            Some("group") => {
                let headers = self.whole(part, headers, depth, |v, p, h| v.on_group_start(p, h));
                self.inside(part, "tasks", &headers, depth);
                self.visit(|visitor| visitor.on_group_end(part, &headers));
            }
            Some("chord") => self.chord(part, headers, depth),
            _ => {
                self.links(part, &headers, depth);
                let found = self.visit(|visitor| visitor.on_signature(part, &headers));
                let stamps = collect(headers, found, Some(part), self.restamp);
                for (name, value) in stamps {
                    part.options.insert(name, value);
                }
            }
        }
    }

    fn chord(&mut self, chord: &mut Signature, headers: Table, depth: usize) {
        let headers = self.whole(chord, headers, depth, |v, p, h| {
            v.on_chord_header_start(p, h)
        });
        match chord.kwargs.get("header") {
            Some(Value::Map(_)) => {
                let mut group = header(chord);
                self.inside(&mut group, "tasks", &headers, depth + 1);
                chord.kwargs.insert("header", Value::from(group));
            }
            _ => self.inside(chord, "header", &headers, depth),
        }
        self.visit(|visitor| visitor.on_chord_header_end(chord, &headers));
        if let Some(found) = self.visit(|visitor| visitor.on_chord_body(chord, &headers)) {
            let headers = collect(headers, Some(found), Some(chord), self.restamp);
            self.inside(chord, "body", &headers, depth);
        }
    }

    /// Stamps what a canvas calls, and returns the stamps of all that is in it.
    fn whole(
        &mut self,
        whole: &mut Signature,
        headers: Table,
        depth: usize,
        ask: impl FnOnce(&mut dyn StampingVisitor, &Signature, &Table) -> Table,
    ) -> Table {
        let found = self.visit(|visitor| ask(visitor, whole, &headers));
        let headers = collect(headers, found, Some(whole), self.restamp);
        self.links(whole, &headers, depth);
        headers
    }

    /// Stamps the signatures under a key of a canvas.
    fn inside(&mut self, whole: &mut Signature, key: &str, headers: &Table, depth: usize) {
        if let Some(parts) = whole.kwargs.get_mut(key) {
            each(parts, &mut |part| {
                self.part(part, headers.clone(), depth + 1);
            });
        }
    }

    /// Stamps what a part calls on success and on failure.
    fn links(&mut self, part: &mut Signature, headers: &Table, depth: usize) {
        if let Some(links) = part.options.get_mut("link") {
            each(links, &mut |link| {
                let found = self.visit(|visitor| visitor.on_callback(link, headers));
                let headers = collect(headers.clone(), found, None, self.restamp);
                self.part(link, headers, depth + 1);
            });
        }
        if let Some(links) = part.options.get_mut("link_error") {
            each(links, &mut |link| {
                let found = self.visit(|visitor| visitor.on_errback(link, headers));
                let headers = collect(headers.clone(), found, None, self.restamp);
                self.part(link, headers, depth + 1);
            });
        }
    }

    fn visit<T>(&mut self, ask: impl FnOnce(&mut dyn StampingVisitor) -> T) -> Option<T> {
        let visitor = self.visitor.as_deref_mut()?;
        Some(ask(visitor))
    }
}

/// Changes a signature, or each of a list; what is no signature stays as it is, and is
/// refused when the whole is sent.
fn each(value: &mut Value, change: &mut dyn FnMut(&mut Signature)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        one if is_present(one) => {
            if let Ok(mut signature) = Signature::from_value(one.clone()) {
                change(&mut signature);
                *one = Value::from(signature);
            }
        }
        _ => {}
    }
}

/// Returns the header of a chord as a group.
fn header(chord: &Signature) -> Signature {
    let tasks = match chord.kwargs.get("header") {
        Some(Value::Map(group)) => match Signature::from_value(Value::Map(group.clone())) {
            Ok(group) if group.subtask_type.as_deref() == Some("group") => return group,
            Ok(one) => vec![Value::from(one)],
            Err(_) => Vec::new(),
        },
        Some(Value::Array(tasks)) => tasks.clone(),
        _ => Vec::new(),
    };
    Signature {
        subtask_type: Some("group".to_owned()),
        ..Signature::new("celery.group").kwarg("tasks", tasks)
    }
}

/// Puts together the stamps from around a part, those that the visitor has for it, and
/// those that it has already. Of a name that two of them have, the first one's counts.
fn collect(
    mut headers: Table,
    found: Option<Table>,
    part: Option<&Signature>,
    restamp: Restamp,
) -> Table {
    name_all(&mut headers);
    if let Some(mut found) = found {
        name_all(&mut found);
        merge_names(&mut headers, names(&found));
        merge(&mut headers, found, restamp);
    }
    if let Some(part) = part {
        let own = part.stamped_headers().unwrap_or_default();
        let own: Vec<Value> = own.into_iter().map(Value::from).collect();
        merge_names(&mut headers, own);
        let named = names(&headers);
        let stamps = part.options.iter();
        let stamps = stamps.filter(|(key, _)| named.iter().any(|name| name.as_str() == Some(key)));
        let stamps = stamps.map(|(key, value)| (key.to_owned(), value.clone()));
        merge(&mut headers, stamps.collect(), restamp);
    }
    headers
}

fn names(headers: &Table) -> Vec<Value> {
    match headers.get(STAMPED) {
        Some(Value::Array(names)) => names.clone(),
        _ => Vec::new(),
    }
}

/// Names all that is there as stamps, unless something is named.
fn name_all(headers: &mut Table) {
    if headers.get(STAMPED).is_none() {
        let names: Vec<Value> = headers.iter().map(|(name, _)| name.into()).collect();
        headers.insert(STAMPED, names);
    }
}

fn merge_names(headers: &mut Table, more: Vec<Value>) {
    let mut all = names(headers);
    for name in more {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    headers.insert(STAMPED, all);
}

fn merge(headers: &mut Table, more: Table, restamp: Restamp) {
    for (name, value) in more {
        match (headers.get_mut(&name), value) {
            _ if name == STAMPED => {}
            (None, value) => headers.insert(name, value),
            (Some(Value::Map(table)), Value::Map(more)) => merge(table, more, restamp),
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(_), _) if restamp == Restamp::Replace => {}
            (Some(Value::Array(list)), value) => list.push(value),
            (Some(first), value) => {
                let mut list = Vec::with_capacity(2);
                list.extend(Some(std::mem::take(first)).filter(is_present));
                list.push(value);
                *first = Value::Array(list);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::json;

    fn table(text: &str) -> Table {
        match json::from_slice(text.as_bytes(), "text").unwrap() {
            Value::Map(table) => table,
            other => panic!("{other:?}"),
        }
    }

    fn canvas(kind: &str) -> Signature {
        Signature {
            subtask_type: Some(kind.to_owned()),
            ..Signature::new(format!("celery.{kind}"))
        }
    }

    fn of(kind: &str, parts: Vec<Signature>) -> Signature {
        let parts: Vec<Value> = parts.into_iter().map(Value::from).collect();
        canvas(kind).kwarg("tasks", parts)
    }

    fn chord(header: Vec<Signature>, body: Signature) -> Signature {
        let header: Vec<Value> = header.into_iter().map(Value::from).collect();
        canvas("chord")
            .kwarg("header", header)
            .kwarg("body", Value::from(body))
    }

    fn options(signature: &Signature) -> String {
        json::to_string(&Value::Map(signature.options.clone())).unwrap()
    }

    fn parts(signature: &Signature, key: &str) -> Vec<Signature> {
        match signature.kwargs.get(key).unwrap() {
            Value::Array(items) => items
                .iter()
                .map(|item| Signature::from_value(item.clone()).unwrap())
                .collect(),
            one => vec![Signature::from_value(one.clone()).unwrap()],
        }
    }

    /// Gives the same to every task.
    struct All(&'static str);

    impl StampingVisitor for All {
        fn on_signature(&mut self, _task: &Signature, _headers: &Table) -> Table {
            table(self.0)
        }
    }

    /// The words of a message that was captured from Celery.
    #[test]
    fn a_task_and_its_links_are_stamped_as_by_celery() {
        let call = Signature::new("demo.add")
            .with_link(Signature::new("demo.mul"))
            .with_link_error(Signature::new("demo.err_new"))
            .stamped(&mut All(r#"{"a": 1, "b": ["x", "y"]}"#));
        let stamps = r#"{"stamped_headers": ["a", "b"], "a": 1, "b": ["x", "y"]}"#;
        assert_eq!(options(&call.link().unwrap()[0]), stamps);
        assert_eq!(options(&call.link_error().unwrap()[0]), stamps);
        assert!(options(&call).ends_with(&stamps[1..]), "{}", options(&call));
    }

    #[test]
    fn plain_stamps_leave_the_body_of_a_chord_out() {
        let chord = || chord(vec![Signature::new("h")], Signature::new("b"));
        let plain = chord().stamp("foo", "bar");
        let stamps = r#"{"foo": "bar", "stamped_headers": ["foo"]}"#;
        assert_eq!(options(&parts(&plain, "header")[0]), stamps);
        assert_eq!(options(&parts(&plain, "body")[0]), "{}");
        let visited = chord().stamped(&mut All(r#"{"foo": "bar"}"#));
        for key in ["header", "body"] {
            let names = r#"{"stamped_headers": ["foo"], "foo": "bar"}"#;
            assert_eq!(options(&parts(&visited, key)[0]), names);
        }
    }

    /// Says what it sees.
    #[derive(Default)]
    struct Trace(Vec<String>);

    impl Trace {
        fn note(&mut self, what: &str, part: &Signature, headers: &Table) -> Table {
            let around = names(headers).iter().filter_map(Value::as_str).count();
            self.0.push(format!("{what} {} in {around}", part.task));
            table(&format!(r#"{{"at_{what}": 1}}"#))
        }
    }

    impl StampingVisitor for Trace {
        fn on_signature(&mut self, task: &Signature, headers: &Table) -> Table {
            self.note("task", task, headers)
        }
        fn on_chain_start(&mut self, chain: &Signature, headers: &Table) -> Table {
            self.note("chain", chain, headers)
        }
        fn on_chain_end(&mut self, chain: &Signature, headers: &Table) {
            self.note("end", chain, headers);
        }
        fn on_group_start(&mut self, group: &Signature, headers: &Table) -> Table {
            self.note("group", group, headers)
        }
        fn on_group_end(&mut self, group: &Signature, headers: &Table) {
            self.note("end", group, headers);
        }
        fn on_chord_body(&mut self, chord: &Signature, headers: &Table) -> Table {
            self.note("body", chord, headers)
        }
        fn on_callback(&mut self, callback: &Signature, headers: &Table) -> Table {
            self.note("callback", callback, headers)
        }
    }

    #[test]
    fn a_visitor_sees_every_part_and_what_is_around_it() {
        let linked = Signature::new("a").with_link(Signature::new("l"));
        let workflow = of(
            "chain",
            vec![
                linked,
                of("group", vec![Signature::new("g")]),
                chord(vec![Signature::new("h")], Signature::new("b")),
            ],
        );
        let mut trace = Trace::default();
        let stamped = workflow.stamped(&mut trace);
        assert_eq!(
            trace.0,
            [
                "chain celery.chain in 0",
                "callback l in 1",
                "task l in 2",
                "task a in 1",
                "group celery.group in 1",
                "task g in 2",
                "end celery.group in 2",
                "group celery.group in 1",
                "task h in 2",
                "end celery.group in 2",
                "body celery.chord in 2",
                "task b in 3",
                "end celery.chain in 1",
            ]
        );
        let chord = &parts(&stamped, "tasks")[2];
        let body = &parts(chord, "body")[0];
        assert_eq!(
            body.stamped_headers(),
            Some(vec!["at_chain", "at_group", "at_body", "at_task"])
        );
    }

    #[test]
    fn a_stamp_takes_the_place_of_an_older_one_or_stands_beside_it() {
        let older = || Signature::new("t").stamped(&mut All(r#"{"a": 1, "b": ["x"]}"#));
        let replaced = older().stamped(&mut All(r#"{"a": 2, "b": ["y"]}"#));
        assert_eq!(
            options(&replaced),
            r#"{"stamped_headers": ["a", "b"], "a": 2, "b": ["y", "x"]}"#
        );
        let mut visitor = All(r#"{"a": 2, "b": "y"}"#);
        let both = older().stamped_with(Some(&mut visitor), Restamp::Append, Table::new());
        assert_eq!(both.option("a").unwrap().as_array().unwrap().len(), 2);
        assert_eq!(both.stamped_headers(), Some(vec!["a", "b"]));
    }

    #[test]
    fn what_is_not_named_is_no_stamp() {
        let mut visitor = All(r#"{"priority": 3, "a": 1, "stamped_headers": ["a"]}"#);
        let call = Signature::new("t").stamped(&mut visitor);
        assert_eq!(call.stamped_headers(), Some(vec!["a"]));
        assert_eq!(call.priority(), Some(3));
    }
}
