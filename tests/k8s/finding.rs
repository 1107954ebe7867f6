//! What a check found.

use std::fmt;

/// Something wrong in the manifests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Which check says so.
    pub(crate) check: &'static str,
    /// Kind and name of the object, or a file.
    pub(crate) object: String,
    /// Where in it.
    pub(crate) field: String,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            object,
            field,
            found,
            expected,
        } = self;
        write!(
            formatter,
            "[{check}] {object}: {field}: expected {expected}, found {found}"
        )
    }
}

/// The findings of one check.
#[derive(Debug)]
pub(crate) struct Findings {
    check: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn new(check: &'static str) -> Self {
        Self {
            check,
            all: Vec::new(),
        }
    }

    /// Notes a fault.
    pub(crate) fn add(
        &mut self,
        object: &str,
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.all.push(Finding {
            check: self.check,
            object: object.to_owned(),
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
        });
    }

    pub(crate) fn done(self) -> Vec<Finding> {
        self.all
    }
}

/// Panics with every finding, each once.
pub(crate) fn assert_none(mut findings: Vec<(String, Finding)>, what: &str) {
    findings.sort_by(|left, right| left.1.cmp(&right.1));
    let mut lines: Vec<String> = Vec::new();
    for group in findings.chunk_by(|left, right| left.1 == right.1) {
        let mut places: Vec<_> = group.iter().map(|(place, _)| place.as_str()).collect();
        places.dedup();
        let more = match places.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        lines.push(format!("{} (in {}{more})", group[0].1, places[0]));
    }
    assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
}
