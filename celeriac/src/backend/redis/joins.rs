//! Counting the headers of chords, in the keys that Celery's workers use, so that
//! Python and Rust workers may finish members of one header.

use std::sync::Arc;

use celeriac_protocol::naming::keys::ChordKeys;
use celeriac_protocol::{State, Value};
use redis::Script;

use super::link::Link;
use super::options::RedisOptions;
use super::{groups, stored};
use crate::backend::{Addition, Claim, Joined, Member, header};
use crate::error::{Error, Result};

/// For how many seconds the member that counted last has the claim to the body alone;
/// as long as with Celery's workers. It may count again meanwhile, since its answer or
/// its node may have been lost.
const CLAIM: u32 = 6;

/// For how many seconds the claim is kept once the body is about to be sent.
const HOLD: u32 = 21;

/// For how many seconds a finished chord is remembered.
const DONE: u32 = 300;

/// Whether another worker has the claim (1), or the entries of a complete header, and the
/// group that was saved of it.
type Answer = (u8, Option<Vec<Vec<u8>>>, Option<Vec<u8>>);

/// Counts the headers of chords.
#[derive(Debug)]
pub(super) struct Joins {
    link: Arc<Link>,
    join: Script,
    hold: Script,
    end: Script,
    extend: Script,
}

impl Joins {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            join: Script::new(include_str!("join.lua")),
            hold: Script::new(include_str!("hold.lua")),
            end: Script::new(include_str!("end.lua")),
            extend: Script::new(include_str!("extend.lua")),
        }
    }

    pub(super) async fn begin(&self, group: &str, size: u32, options: &RedisOptions) -> Result<()> {
        let keys = names(group, options);
        let mut pipe = redis::pipe();
        // The same group id again is another run of the chord.
        pipe.atomic().del(&keys.claim);
        match options.chord_ttl() {
            0 => pipe.set(&keys.size, size),
            ttl => pipe.set_ex(&keys.size, size, ttl),
        };
        self.run(&pipe).await
    }

    /// Waits for one more result, or no longer. Asked twice, it counts once.
    pub(super) async fn extend(
        &self,
        group: &str,
        addition: &Addition<'_>,
        options: &RedisOptions,
    ) -> Result<()> {
        let keys = names(group, options);
        let (id, change) = match addition {
            Addition::Expected(id) => (id, 1),
            Addition::Withdrawn(id) => (id, -1),
        };
        let mut call = self.extend.prepare_invoke();
        call.key(&keys.added)
            .key(&keys.additions)
            .arg(id)
            .arg(change)
            .arg(options.chord_ttl());
        let call = &call;
        self.link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    /// Counts a member; returns all in order to the one who counted last.
    pub(super) async fn join(
        &self,
        member: &Member,
        options: &RedisOptions,
    ) -> Result<Option<Vec<Joined>>> {
        let keys = names(&member.group, options);
        let place = place(member.index);
        let mut call = self.join.prepare_invoke();
        for key in [
            &keys.results,
            &keys.added,
            &keys.size,
            &keys.counted,
            &keys.group,
            &keys.claim,
            &keys.additions,
        ] {
            call.key(key);
        }
        call.arg(who(&member.task_id, &place))
            .arg(write(member, options)?)
            .arg(place)
            .arg(u8::from(options.chord_ordered))
            .arg(options.chord_ttl())
            .arg(CLAIM)
            .arg(options.group_ttl());
        let call = &call;
        let answer: Result<Answer> = self
            .link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await;
        let (entries, saved) = match answer {
            Ok((_, Some(entries), saved)) => (entries, saved),
            Ok((0, None, _)) => return Ok(None),
            // Whoever has the claim may be gone, and then nobody but this member is left
            // to see to the body.
            Ok((_, None, _)) => {
                return Err(Error::Unavailable {
                    what: "body of a chord",
                    reason: "another worker has claimed it and has not sent it yet".to_owned(),
                    source: None,
                });
            }
            Err(error) => return Err(mixed(error, options)),
        };
        let entries = entries.iter().map(|entry| read(entry, options));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        Ok(Some(match saved {
            Some(saved) => header::in_form_of(&groups::read(&saved, options)?, entries),
            None => entries,
        }))
    }

    /// Keeps a claim; tells whether it is still that of the member.
    pub(super) async fn hold(&self, claim: &Claim, options: &RedisOptions) -> Result<bool> {
        let keys = names(&claim.group, options);
        let mut call = self.hold.prepare_invoke();
        call.key(&keys.claim)
            .arg(who(&claim.task_id, &place(claim.index)))
            .arg(HOLD);
        let call = &call;
        self.link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    pub(super) async fn end(&self, group: &str, options: &RedisOptions) -> Result<()> {
        let keys = names(group, options);
        let mut call = self.end.prepare_invoke();
        for key in [
            &keys.claim,
            &keys.results,
            &keys.added,
            &keys.additions,
            &keys.size,
            &keys.counted,
        ] {
            call.key(key);
        }
        call.arg(DONE);
        let call = &call;
        self.link
            .run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    /// Forgets how many results a chord waits for, so that nobody completes it again.
    /// The entries stay until they expire: error callbacks look into them.
    pub(super) async fn give_up(&self, group: &str, options: &RedisOptions) -> Result<()> {
        let keys = names(group, options);
        let mut pipe = redis::pipe();
        pipe.atomic()
            .del(&keys.size)
            .set_ex(&keys.claim, "done", DONE.into());
        self.run(&pipe).await
    }

    async fn run(&self, pipe: &redis::Pipeline) -> Result<()> {
        self.link
            .run(|mut connection| async move { pipe.exec_async(&mut connection).await })
            .await
    }
}

/// Says what is wrong when the header's results are kept in another form than here: no
/// later answer of the server will be another one.
fn mixed(error: Error, options: &RedisOptions) -> Error {
    match error {
        Error::Refused { reason, .. } if reason.contains("WRONGTYPE") => {
            let ordered = options.chord_ordered;
            let kept = if ordered { "a sorted set" } else { "a list" };
            Error::invalid(
                "results of a chord's header",
                format!("{kept}, since result_chord_ordered is {ordered} here"),
                "another kind of key: let all workers of a chord say the same",
            )
        }
        error => error,
    }
}

/// A member's place; one without comes last.
fn place(index: Option<u32>) -> String {
    index.map_or_else(|| "+inf".to_owned(), |index| index.to_string())
}

/// A member as Celery's workers name it where they count.
fn who(task_id: &str, place: &str) -> String {
    format!("{task_id}:{place}")
}

fn names(group: &str, options: &RedisOptions) -> ChordKeys {
    let keys = ChordKeys::new(group);
    ChordKeys {
        results: options.key(&keys.results),
        added: options.key(&keys.added),
        additions: options.key(&keys.additions),
        size: options.key(&keys.size),
        counted: options.key(&keys.counted),
        claim: options.key(&keys.claim),
        group: options.key(&keys.group),
    }
}

/// Writes `[1, id, state, result]`, as results are written.
fn write(member: &Member, options: &RedisOptions) -> Result<Vec<u8>> {
    let entry = Value::Array(vec![
        Value::Int(1),
        Value::from(member.task_id.as_str()),
        Value::from(member.state.as_str()),
        member.result.clone(),
    ]);
    Ok(options.codec.to_vec(&entry)?)
}

fn read(bytes: &[u8], options: &RedisOptions) -> Result<Joined> {
    match stored::value(bytes, options.decompressed_limit, "chord entry")? {
        Value::Array(fields) => match <[Value; 4]>::try_from(fields) {
            Ok([_, Value::Str(task_id), Value::Str(state), result]) => Ok(Joined {
                task_id,
                state: State::from(state.as_str()),
                result,
            }),
            _ => Err(wrong_entry("other fields")),
        },
        other => Err(wrong_entry(other.kind())),
    }
}

fn wrong_entry(found: &str) -> Error {
    Error::invalid("chord entry", "[1, task id, state, result]", found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::Codec;

    use super::*;

    fn member() -> Member {
        Member {
            group: "g".to_owned(),
            index: Some(0),
            task_id: "a".to_owned(),
            state: State::Success,
            result: Value::from(vec![Value::Int(5)]),
        }
    }

    #[test]
    fn an_entry_is_written_as_results_are() {
        for (codec, first) in [(Codec::Json, b'['), (Codec::Msgpack, 0x94)] {
            let options = RedisOptions {
                codec,
                ..RedisOptions::default()
            };
            let entry = write(&member(), &options).unwrap();
            assert_eq!(entry[0], first, "{codec:?}");
        }
    }

    #[test]
    fn an_entry_of_any_codec_is_read() {
        let json = br#"[1, "a", "SUCCESS", [5]]"#;
        let msgpack = b"\x94\x01\xa1a\xa7SUCCESS\x91\x05";
        let yaml = b"- 1\n- a\n- SUCCESS\n- - 5\n";
        for entry in [&json[..], msgpack, yaml] {
            let joined = read(entry, &RedisOptions::default()).unwrap();
            assert_eq!(
                (joined.task_id, joined.state, joined.result),
                ("a".to_owned(), State::Success, member().result)
            );
        }
        for entry in [&b""[..], b"[1]", b"{}", b"\x94", b"\0celery-compressed\0x"] {
            assert!(read(entry, &RedisOptions::default()).is_err(), "{entry:?}");
        }
    }
}
