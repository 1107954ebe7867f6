//! The chords that the memory backend counts, as data.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::{Addition, Claim, Joined, Member};

/// For how long the member that counted last has the claim to the body alone. It may
/// count again meanwhile, since its answer or its node may have been lost.
const CLAIM: Duration = Duration::from_secs(6);

/// For how long the claim is kept once the body is about to be sent.
const HOLD: Duration = Duration::from_secs(21);

/// For how long a finished chord is remembered, against members that are counted late.
const DONE: Duration = Duration::from_secs(300);

/// Chords by the group id of their header, bounded in number and age.
#[derive(Debug)]
pub(super) struct Joins {
    most: usize,
    ttl: Duration,
    chords: HashMap<String, Chord>,
}

/// A member: its task id and place.
type Who = (String, Option<u32>);

/// A chord's header.
///
/// ```text
/// counting --last member--> claimed --end--> done --300 s--> forgotten
///                            ^   |
///                            +---+ counted again, by others after 6 s
/// ```
#[derive(Debug)]
struct Chord {
    /// Unknown until it begins; members may finish before.
    size: Option<u32>,
    /// The results that were added to the header while it ran.
    added: HashSet<String>,
    counted: HashSet<Who>,
    /// By place; those without one stand at the end in the order they came.
    members: BTreeMap<(u64, usize), Joined>,
    claim: Option<(Who, Instant)>,
    done: bool,
    expires: Instant,
}

impl Joins {
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        Self {
            most: most.max(1),
            ttl,
            chords: HashMap::new(),
        }
    }

    pub(super) fn begin(&mut self, group: &str, size: u32, now: Instant) {
        let chord = self.chord(group, now);
        chord.size = Some(size);
        chord.done = false;
        chord.claim = None;
    }

    pub(super) fn extend(&mut self, group: &str, addition: Addition<'_>, now: Instant) {
        let chord = self.chord(group, now);
        match addition {
            Addition::Expected(id) => chord.added.insert(id.to_owned()),
            Addition::Withdrawn(id) => chord.added.remove(id),
        };
    }

    /// Counts a member; returns all, in order, to the one who counted last.
    pub(super) fn join(&mut self, member: Member, now: Instant) -> Option<Vec<Joined>> {
        let chord = self.chord(&member.group, now);
        if chord.done {
            return None;
        }
        let who = (member.task_id.clone(), member.index);
        if chord.counted.insert(who.clone()) {
            let place = member.index.map_or(u64::MAX, u64::from);
            let Member {
                task_id,
                state,
                result,
                ..
            } = member;
            let joined = Joined {
                task_id,
                state,
                result,
            };
            chord.members.insert((place, chord.counted.len()), joined);
        }
        let expected = |size: u32| (size as usize).saturating_add(chord.added.len());
        let complete = chord
            .size
            .is_some_and(|size| chord.members.len() == expected(size));
        let others = |(by, until): &(Who, Instant)| *by != who && *until > now;
        if !complete || chord.claim.as_ref().is_some_and(others) {
            return None;
        }
        chord.claim = Some((who, now + CLAIM));
        Some(chord.members.values().cloned().collect())
    }

    /// Keeps a claim; tells whether it is still that of the member. Of a chord that is no
    /// longer known it is: a body that is sent twice beats one that never is.
    pub(super) fn hold(&mut self, claim: &Claim, now: Instant) -> bool {
        let Some(chord) = self.chords.get_mut(&claim.group) else {
            return true;
        };
        if chord.done {
            return false;
        }
        let who = (claim.task_id.clone(), claim.index);
        let others = |(by, until): &(Who, Instant)| *by != who && *until > now;
        if chord.claim.as_ref().is_some_and(others) {
            return false;
        }
        chord.claim = Some((who, now + HOLD));
        true
    }

    pub(super) fn end(&mut self, group: &str, now: Instant) {
        // One that was begun anew has no claim, and is not ended with the old one.
        let chord = self.chords.get_mut(group);
        if let Some(chord) = chord.filter(|chord| chord.claim.is_some()) {
            chord.done = true;
            chord.members.clear();
            chord.counted.clear();
            chord.added.clear();
            chord.expires = now + DONE;
        }
    }

    fn chord(&mut self, group: &str, now: Instant) -> &mut Chord {
        if self.chords.len() >= self.most && !self.chords.contains_key(group) {
            self.make_room(now);
        }
        let expires = now + self.ttl;
        let chord = self
            .chords
            .entry(group.to_owned())
            .or_insert_with(|| Chord {
                size: None,
                added: HashSet::new(),
                counted: HashSet::new(),
                members: BTreeMap::new(),
                claim: None,
                done: false,
                expires,
            });
        if !chord.done {
            chord.expires = expires;
        }
        chord
    }

    /// Removes what expired, or else what expires first.
    fn make_room(&mut self, now: Instant) {
        self.chords.retain(|_, chord| chord.expires > now);
        if self.chords.len() < self.most {
            return;
        }
        let first = self.chords.iter().min_by_key(|(_, chord)| chord.expires);
        if let Some(group) = first.map(|(group, _)| group.clone()) {
            self.chords.remove(&group);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::{State, Value};

    use super::*;

    fn member(index: u32) -> Member {
        Member {
            group: "g".to_owned(),
            index: Some(index),
            task_id: format!("t{index}"),
            state: State::Success,
            result: Value::Int(index.into()),
        }
    }

    #[test]
    fn the_last_one_gets_all_in_order() {
        let now = Instant::now();
        let mut joins = Joins::new(10, Duration::from_secs(60));
        assert_eq!(joins.join(member(2), now), None);
        joins.begin("g", 3, now);
        assert_eq!(joins.join(member(0), now), None);
        assert_eq!(joins.join(member(0), now), None);
        let all = joins.join(member(1), now).unwrap();
        let ids: Vec<_> = all.iter().map(|joined| joined.task_id.as_str()).collect();
        assert_eq!(ids, ["t0", "t1", "t2"]);
    }

    #[test]
    fn one_whose_answer_was_lost_is_told_again() {
        let now = Instant::now();
        let mut joins = Joins::new(10, Duration::from_secs(60));
        joins.begin("g", 2, now);
        assert!(joins.join(member(1), now).is_none());
        let told = joins.join(member(0), now);
        assert!(told.is_some());
        assert_eq!(joins.join(member(0), now), told);
    }

    #[test]
    fn what_is_added_counts_once_and_is_forgotten_with_the_chord() {
        let now = Instant::now();
        let mut joins = Joins::new(10, Duration::from_secs(60));
        joins.begin("g", 1, now);
        joins.extend("g", Addition::Expected("t1"), now);
        joins.extend("g", Addition::Expected("t1"), now);
        joins.extend("g", Addition::Expected("t2"), now);
        joins.extend("g", Addition::Withdrawn("t2"), now);
        assert_eq!(joins.join(member(0), now), None);
        assert_eq!(joins.join(member(1), now).map(|all| all.len()), Some(2));
        joins.end("g", now);
        joins.begin("g", 1, now);
        assert_eq!(joins.join(member(0), now).map(|all| all.len()), Some(1));
    }

    #[test]
    fn the_body_of_a_chord_that_had_to_make_room_is_sent() {
        let now = Instant::now();
        let mut joins = Joins::new(1, Duration::from_secs(60));
        joins.begin("g", 1, now);
        assert!(joins.join(member(0), now).is_some());
        joins.begin("other", 1, now);
        assert!(joins.hold(&member(0).claim(), now));
    }

    #[test]
    fn a_claim_ends_and_a_finished_chord_does_not_come_again() {
        let now = Instant::now();
        let mut joins = Joins::new(10, Duration::from_secs(60));
        joins.begin("g", 2, now);
        assert!(joins.join(member(1), now).is_none());
        assert!(joins.join(member(0), now).is_some());
        assert!(joins.join(member(1), now).is_none());
        assert!(joins.join(member(1), now + CLAIM).is_some());
        // Who comes back too late finds that another one sends the body.
        let (late, now) = (member(0).claim(), now + CLAIM);
        assert!(!joins.hold(&late, now));
        assert!(joins.hold(&member(1).claim(), now));
        assert!(!joins.hold(&late, now + CLAIM));
        assert!(joins.hold(&late, now + HOLD));
        joins.end("g", now);
        assert!(!joins.hold(&late, now));
        assert!(joins.join(member(0), now + 2 * CLAIM).is_none());
    }
}
