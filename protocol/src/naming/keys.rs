//! Keys of result stores.

/// What the key of a task's result starts with.
pub const TASK: &str = "celery-task-meta-";

/// What the keys of a group start with.
pub const GROUP: &str = "celery-taskset-meta-";

/// What the counter of a chord starts with, in stores that only count.
pub const CHORD: &str = "chord-unlock-";

/// What a stored value starts with when it is compressed; the MIME name and a zero
/// byte follow, then the compressed bytes.
pub const COMPRESSED: &[u8] = b"\0celery-compressed\0";

/// The key and the channel of a task's result.
pub fn task(id: &str) -> String {
    format!("{TASK}{id}")
}

/// The key of a saved group.
pub fn group(id: &str) -> String {
    format!("{GROUP}{id}")
}

/// The keys that count the results of a chord's header, all of one group id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChordKeys {
    /// `.j`: the results, one entry each, in a sorted set or a list.
    pub results: String,
    /// `.t`: how many were added to the header while it ran.
    pub added: String,
    /// `.celeriac`: the ids of those that nodes added, so that each counts once. Other
    /// workers do not read it.
    pub additions: String,
    /// `.s`: how many results the header has.
    pub size: String,
    /// `.d`: which of them were counted, as `<id>:<group index>`.
    pub counted: String,
    /// `.c`: who joins the results; `done` after.
    pub claim: String,
    /// The group itself, when the client saved it because it is nested.
    pub group: String,
}

impl ChordKeys {
    /// Names the keys of the chord whose header has this group id.
    pub fn new(group_id: &str) -> Self {
        let key = |suffix: &str| format!("{GROUP}{group_id}{suffix}");
        Self {
            results: key(".j"),
            added: key(".t"),
            additions: key(".celeriac"),
            size: key(".s"),
            counted: key(".d"),
            claim: key(".c"),
            group: key(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_celery() {
        assert_eq!(task("42"), "celery-task-meta-42");
        assert_eq!(group("7"), "celery-taskset-meta-7");
        let chord = ChordKeys::new("7");
        assert_eq!(chord.results, "celery-taskset-meta-7.j");
        assert_eq!(chord.claim, "celery-taskset-meta-7.c");
        assert_eq!(chord.group, group("7"));
    }
}
