//! What kind of text a setting takes, told by the name of its value.

use std::any::TypeId;
use std::path::PathBuf;
use std::time::Duration;

use clap::Arg;

/// What kind of text a flag or setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: to give it is all.
    Switch,
    /// One of these words.
    Choice(Vec<String>),
    /// Any other kind, by its name.
    Named(&'static str),
}

/// The kinds of values by the names that help texts have for them. A name with lower-case words
/// between bars is a choice of these; every other name is text.
const KINDS: [(&str, &str); 22] = [
    ("ADDR", "address"),
    ("ATTRIBUTES", "list"),
    ("BOOL", "bool"),
    ("BYTES", "integer"),
    ("CIDRS", "list"),
    ("DURATION", "duration"),
    ("FILE", "path"),
    ("FOLDER", "path"),
    ("GROUP=ROLE", "list"),
    ("HEADERS", "list"),
    ("HOSTS", "list"),
    ("JSON", "json"),
    ("KIB", "integer"),
    ("MS", "integer"),
    ("N", "integer"),
    ("NAMES", "list"),
    ("NODES", "list"),
    ("PATTERNS", "list"),
    ("QUEUES", "list"),
    ("SECONDS", "duration"),
    ("TASKS", "list"),
    ("URL", "url"),
];

impl Kind {
    /// Tells the kind of a flag's value.
    pub(crate) fn of(arg: &Arg) -> Self {
        if !arg.get_action().takes_values() {
            return Self::Switch;
        }
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            let names = possible.iter().map(|value| value.get_name().to_owned());
            return Self::Choice(names.collect());
        }
        if let Some(kind) = parsed(arg) {
            return Self::Named(kind);
        }
        let name = arg.get_value_names().and_then(<[_]>::first);
        let name = name.map_or("", |name| name.as_str());
        let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
        if name.contains('|') && name.split('|').all(word) {
            return Self::Choice(name.split('|').map(str::to_owned).collect());
        }
        let known = KINDS.iter().find(|(known, _)| *known == name);
        Self::Named(known.map_or("text", |(_, kind)| kind))
    }

    /// Returns the name of the kind.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Choice(_) => "enum",
            Self::Named(name) => name,
        }
    }

    /// Returns the words to choose from.
    pub(crate) fn values(&self) -> Option<&[String]> {
        match self {
            Self::Choice(values) => Some(values),
            _ => None,
        }
    }
}

/// Tells the kind of what clap itself parses; settings are text to it.
fn parsed(arg: &Arg) -> Option<&'static str> {
    let parsed = arg.get_value_parser().type_id();
    let integers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
    ];
    if integers.iter().any(|integer| parsed == *integer) {
        return Some("integer");
    }
    let others = [
        (TypeId::of::<Duration>(), "duration"),
        (TypeId::of::<PathBuf>(), "path"),
    ];
    let other = others.iter().find(|(id, _)| parsed == *id);
    other.map(|(_, kind)| *kind)
}
