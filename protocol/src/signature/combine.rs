//! Signatures made of others.

use super::Signature;
use crate::value::{Table, Value};

impl Signature {
    /// Returns a copy with more: `args` before its own, `kwargs` and `options` on top of
    /// its own. What Celery calls `clone` and `partial`.
    ///
    /// An immutable signature keeps its arguments. The group that a signature is in and
    /// the stamps that it has stay, whatever the options say.
    ///
    /// ```
    /// use celeriac_protocol::{Signature, Table};
    ///
    /// let add = Signature::new("demo.add").arg(2);
    /// let call = add.partial(vec![40.into()], Table::new(), Table::new());
    /// assert_eq!(call.args, [40.into(), 2.into()]);
    /// ```
    #[must_use]
    pub fn partial(&self, args: Vec<Value>, kwargs: Table, options: Table) -> Self {
        let mut call = self.clone();
        if !self.immutable {
            call.args.splice(0..0, args);
            for (key, value) in kwargs {
                call.kwargs.insert(key, value);
            }
        }
        let stamps = self.stamped_headers().unwrap_or_default();
        for (key, value) in options {
            let fixed = matches!(key.as_str(), "group_id" | "stamped_headers")
                || stamps.contains(&key.as_str());
            if !(fixed && self.options.get(&key).is_some()) {
                call.options.insert(key, value);
            }
        }
        call
    }

    /// Calls something with the result, after what it calls already. The same callback
    /// counts once.
    #[must_use]
    pub fn with_link(self, callback: Self) -> Self {
        self.append("link", callback)
    }

    /// Calls something on failure, after what it calls already. The same error callback
    /// counts once.
    #[must_use]
    pub fn with_link_error(self, errback: Self) -> Self {
        self.append("link_error", errback)
    }

    /// Adds to an option that is a list; one alone becomes a list.
    fn append(mut self, option: &str, signature: Self) -> Self {
        let mut list = match self.options.remove(option) {
            Some(Value::Array(list)) => list,
            None | Some(Value::Null) => Vec::new(),
            Some(one) => vec![one],
        };
        let signature = Value::from(signature);
        if !list.contains(&signature) {
            list.push(signature);
        }
        self.options.insert(option, list);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(entries: [(&str, i64); N]) -> Table {
        let entry = |(key, value): (&str, i64)| (key.to_owned(), Value::Int(value));
        entries.into_iter().map(entry).collect()
    }

    #[test]
    fn a_partial_has_more_of_everything() {
        let call = Signature::new("t")
            .arg(2)
            .kwarg("k", 1)
            .with_option("priority", 1);
        let more = call.partial(
            vec![1.into()],
            table([("k", 2), ("l", 3)]),
            table([("priority", 9), ("countdown", 5)]),
        );
        assert_eq!(more.args, [1.into(), 2.into()]);
        assert_eq!(more.kwargs, table([("k", 2), ("l", 3)]));
        assert_eq!(more.options, table([("priority", 9), ("countdown", 5)]));
        let fixed = call.clone().immutable().partial(
            vec![1.into()],
            table([("k", 2)]),
            table([("priority", 9)]),
        );
        assert_eq!((fixed.args, fixed.kwargs), (call.args, call.kwargs));
        assert_eq!(fixed.options, table([("priority", 9)]));
    }

    #[test]
    fn the_group_and_the_stamps_stay() {
        let call = Signature::new("t")
            .with_option("group_id", 1)
            .with_option("stamped_headers", vec![Value::from("a")])
            .with_option("a", 1);
        let more = call.partial(Vec::new(), Table::new(), {
            let mut options = table([("group_id", 2), ("a", 2), ("b", 2)]);
            options.insert("stamped_headers", vec![Value::from("b")]);
            options
        });
        assert_eq!(more, call.with_option("b", 2));
    }

    #[test]
    fn links_add_up() {
        let [a, b] = ["a", "b"].map(Signature::new);
        let call = Signature::new("t")
            .with_option("link", Value::from(a.clone()))
            .with_link(b.clone())
            .with_link(a.clone())
            .with_link_error(b.clone());
        assert_eq!(call.link(), Some(vec![a, b.clone()]));
        assert_eq!(call.link_error(), Some(vec![b]));
    }
}
