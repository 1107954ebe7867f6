//! The methods of remote control that Celery's command line has.

use std::time::Duration;

use celeriac::control::{Command, Signal};
use celeriac::protocol::Table;
use celeriac::{Value, protocol::json};

/// A method of remote control as the command line offers it.
pub(super) struct Method {
    pub(super) name: &'static str,
    /// Its arguments, in Celery's notation.
    pub(super) signature: &'static str,
    pub(super) help: &'static str,
    /// Whether nodes answer it.
    pub(super) answers: bool,
    build: fn(&[&str]) -> Built,
}

/// The command, or what is wrong with its arguments.
type Built = Result<Command, String>;

impl Method {
    const fn new(
        name: &'static str,
        signature: &'static str,
        help: &'static str,
        build: fn(&[&str]) -> Built,
    ) -> Self {
        Self {
            name,
            signature,
            help,
            answers: true,
            build,
        }
    }

    const fn silent(mut self) -> Self {
        self.answers = false;
        self
    }

    /// Makes the command from the words of the command line.
    pub(super) fn command(&self, words: &[String]) -> Built {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        (self.build)(&words).map_err(|problem| {
            let form = [self.name, self.signature].join(" ");
            format!("{}: {problem}; its form is: {}", self.name, form.trim_end())
        })
    }
}

/// What `celeriac inspect` asks.
pub(super) const INSPECT: &[Method] = &[
    Method::new("active", "", "Tasks that run", |w| {
        none(w, Command::active(true))
    }),
    Method::new("active_queues", "", "Queues that are consumed", |w| {
        none(w, Command::active_queues())
    }),
    Method::new("clock", "", "The logical clock", |w| {
        none(w, Command::clock())
    }),
    Method::new(
        "conf",
        "[include_defaults=False]",
        "Settings that differ from the defaults, or all",
        |w| {
            let [all] = words(w, 0)?;
            Ok(Command::conf(all.map(truth).transpose()?.unwrap_or(false)))
        },
    ),
    Method::new(
        "memdump",
        "[n_samples=10]",
        "Samples of memory so far",
        |w| {
            let [samples] = words(w, 0)?;
            Ok(Command::memdump(
                samples.map(number).transpose()?.unwrap_or(10),
            ))
        },
    ),
    Method::new("memsample", "", "Sample the resident memory", |w| {
        none(w, Command::memsample())
    }),
    Method::new(
        "objgraph",
        "[object_type=Request] [num=200 [max_depth=10]]",
        "Objects of a Python worker",
        |w| {
            let [kind, num, depth] = words(w, 0)?;
            let number = |word: Option<&str>, default: u32| -> Result<i64, String> {
                Ok(word.map(number).transpose()?.unwrap_or(default).into())
            };
            Ok(Command::new("objgraph")
                .argument("num", number(num, 200)?)
                .argument("max_depth", number(depth, 10)?)
                .argument("type", kind.unwrap_or("Request")))
        },
    ),
    Method::new("ping", "", "Who is there", |w| none(w, Command::ping())),
    Method::new(
        "query_task",
        "[id1 [id2 [... [idN]]]]",
        "Where tasks are",
        |w| Ok(Command::query_task(w.iter().copied())),
    ),
    Method::new(
        "registered",
        "[attr1 [attr2 [... [attrN]]]]",
        "Tasks that are known, with these attributes",
        |w| Ok(Command::registered(w.iter().copied())),
    ),
    Method::new("report", "", "A text for a bug report", |w| {
        none(w, Command::report())
    }),
    Method::new("reserved", "", "Tasks that wait for a place to run", |w| {
        none(w, Command::reserved())
    }),
    Method::new("revoked", "", "Ids that were revoked", |w| {
        none(w, Command::revoked())
    }),
    Method::new("scheduled", "", "Tasks that wait for their time", |w| {
        none(w, Command::scheduled())
    }),
    Method::new(
        "stats",
        "",
        "Figures of the pool, broker and process",
        |w| none(w, Command::stats()),
    ),
];

/// What `celeriac control` does.
pub(super) const CONTROL: &[Method] = &[
    Method::new(
        "add_consumer",
        "<queue> [exchange [type [routing_key]]]",
        "Consume one more queue",
        |w| {
            let [queue, exchange, kind, key] = words(w, 1)?;
            let command = Command::add_consumer(queue.unwrap_or_default());
            Ok([
                ("exchange", exchange),
                ("exchange_type", kind),
                ("routing_key", key),
            ]
            .into_iter()
            .fold(command, |command, (name, word)| match word {
                Some(word) => command.argument(name, word),
                None => command,
            }))
        },
    ),
    Method::new("autoscale", "[max [min]]", "Bounds of places to run", |w| {
        let [max, min] = words(w, 0)?;
        let bound = |word: Option<&str>| -> Result<Option<i64>, String> {
            Ok(word.map(number).transpose()?.map(i64::from))
        };
        Ok(Command::new("autoscale")
            .argument("max", bound(max)?)
            .argument("min", bound(min)?))
    }),
    Method::new(
        "cancel_consumer",
        "<queue>",
        "Consume one queue less",
        |w| {
            let [queue] = words(w, 1)?;
            Ok(Command::cancel_consumer(queue.unwrap_or_default()))
        },
    ),
    Method::new("disable_events", "", "Send no more events of tasks", |w| {
        none(w, Command::disable_events())
    }),
    Method::new(
        "election",
        "<id> <topic> [action]",
        "Hold an election among Python workers",
        |w| {
            let [id, topic, action] = words(w, 2)?;
            Ok(Command::new("election")
                .argument("id", id.unwrap_or_default())
                .argument("topic", topic.unwrap_or_default())
                .argument("action", action.map(str::to_owned)))
        },
    )
    .silent(),
    Method::new("enable_events", "", "Send events of tasks", |w| {
        none(w, Command::enable_events())
    }),
    Method::new("heartbeat", "", "Send a heartbeat now", |w| {
        none(w, Command::heartbeat())
    })
    .silent(),
    Method::new("pool_grow", "[N=1]", "More places to run", |w| {
        let [by] = words(w, 0)?;
        Ok(Command::pool_grow(by.map(number).transpose()?.unwrap_or(1)))
    }),
    Method::new(
        "pool_restart",
        "",
        "Replace the processes that run tasks",
        |w| none(w, Command::pool_restart()),
    ),
    Method::new("pool_shrink", "[N=1]", "Fewer places to run", |w| {
        let [by] = words(w, 0)?;
        let by = by.map(number).transpose()?.unwrap_or(1);
        Ok(Command::pool_shrink(by))
    }),
    Method::new(
        "rate_limit",
        "<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
        "How often a task may start",
        |w| {
            let [task, limit] = words(w, 2)?;
            Ok(Command::rate_limit(
                task.unwrap_or_default(),
                limit.unwrap_or_default(),
            ))
        },
    ),
    Method::new(
        "revoke",
        "[id1 [id2 [... [idN]]]]",
        "Call tasks off; those that run go on",
        |w| Ok(Command::revoke(some(w)?)),
    ),
    Method::new(
        "revoke_by_stamped_headers",
        "[key1=value1 [key2=value2 [... [keyN=valueN]]]]",
        "Call off every task with one of these stamps",
        |w| Ok(Command::revoke_by_stamped_headers(stamps(&some(w)?)?)),
    ),
    Method::new("shutdown", "", "End nodes as SIGTERM does", |w| {
        none(w, Command::shutdown())
    })
    .silent(),
    Method::new(
        "terminate",
        "<signal> [id1 [id2 [... [idN]]]]",
        "Stop tasks that run",
        |w| {
            let (signal, ids) = w.split_first().ok_or("expected a signal, found nothing")?;
            let signal = Signal::from_value(&Value::from(*signal))
                .map_err(|_| format!("expected a signal such as SIGTERM, found {signal:?}"))?;
            Ok(Command::revoke(some(ids)?).terminate(signal))
        },
    ),
    Method::new(
        "time_limit",
        "<task_name> <soft_secs> [hard_secs]",
        "Time limits of a task",
        |w| {
            let [task, soft, hard] = words(w, 2)?;
            let (soft, hard) = (
                soft.map(seconds).transpose()?,
                hard.map(seconds).transpose()?,
            );
            Ok(Command::time_limit(task.unwrap_or_default(), soft, hard))
        },
    ),
];

/// Makes a command that is on no list from `name=value` words.
pub(super) fn any(name: &str, words: &[String]) -> Result<Command, String> {
    let mut arguments = Table::new();
    for word in words {
        let (key, value) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("{name}: expected name=value, found {word:?}"))?;
        let value = json::from_slice::<Value>(value.as_bytes(), "argument")
            .unwrap_or_else(|_| Value::from(value));
        arguments.insert(key, value);
    }
    Ok(Command::new(name).arguments(arguments))
}

/// Takes up to `N` words, `least` at least.
fn words<'a, const N: usize>(
    words: &[&'a str],
    least: usize,
) -> Result<[Option<&'a str>; N], String> {
    if !(least..=N).contains(&words.len()) {
        let expected = match (least, N) {
            (least, most) if least == most => format!("{most}"),
            (least, most) => format!("{least} to {most}"),
        };
        let found = words.len();
        return Err(format!("expected {expected} arguments, found {found}"));
    }
    Ok(std::array::from_fn(|at| words.get(at).copied()))
}

fn none(given: &[&str], command: Command) -> Built {
    let [] = words::<0>(given, 0)?;
    Ok(command)
}

fn some<'a>(words: &[&'a str]) -> Result<Vec<&'a str>, String> {
    if words.is_empty() {
        return Err("expected at least one, found none".to_owned());
    }
    Ok(words.to_vec())
}

fn number(word: &str) -> Result<u32, String> {
    word.parse()
        .map_err(|_| format!("expected a number, found {word:?}"))
}

fn truth(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("expected true or false, found {word:?}")),
    }
}

fn seconds(word: &str) -> Result<Duration, String> {
    crate::units::parse_duration(word)
}

/// Reads `key=value` words; one key may stand more than once.
fn stamps(words: &[&str]) -> Result<Table, String> {
    let mut stamps = std::collections::BTreeMap::<&str, Vec<Value>>::new();
    for word in words {
        let (key, value) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("expected key=value, found {word:?}"))?;
        stamps.entry(key).or_default().push(Value::from(value));
    }
    let mut table = Table::new();
    for (key, values) in stamps {
        table.insert(key, values);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(list: &[Method], line: &str) -> Built {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let words: Vec<String> = words.map(str::to_owned).collect();
        let method = list.iter().find(|method| method.name == name);
        method.ok_or("no such method")?.command(&words)
    }

    #[test]
    fn words_become_the_arguments_that_celery_sends() {
        let cases = [
            ("pool_grow", Command::pool_grow(1)),
            ("pool_grow 3", Command::pool_grow(3)),
            ("rate_limit t 5/m", Command::rate_limit("t", "5/m")),
            ("revoke a b", Command::revoke(["a", "b"])),
            (
                "terminate SIGKILL a",
                Command::revoke(["a"]).terminate(Signal::KILL),
            ),
            (
                "time_limit t 1.5",
                Command::time_limit("t", Some(Duration::from_millis(1_500)), None),
            ),
            (
                "add_consumer q ex",
                Command::add_consumer("q").argument("exchange", "ex"),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(built(CONTROL, line), Ok(expected), "{line}");
        }
        assert_eq!(built(INSPECT, "conf True"), Ok(Command::conf(true)));
        assert_eq!(built(INSPECT, "ping"), Ok(Command::ping()));
    }

    #[test]
    fn words_that_do_not_fit_are_refused_with_the_form() {
        for line in [
            "rate_limit t",
            "revoke",
            "pool_grow x",
            "pool_grow 1 2",
            "terminate NOSIGNAL a",
            "revoke_by_stamped_headers a",
            "enable_events now",
            "time_limit t soon",
        ] {
            let problem = built(CONTROL, line).expect_err(line);
            assert!(problem.contains("expected"), "{problem}");
            assert!(problem.contains("its form is: "), "{problem}");
        }
    }

    #[test]
    fn a_command_of_ones_own_takes_json_or_text() {
        let words = ["n=3", "name=EUR", "list=[1,2]"].map(str::to_owned);
        let expected = Command::new("reload")
            .argument("n", 3)
            .argument("name", "EUR")
            .argument("list", vec![Value::from(1), Value::from(2)]);
        assert_eq!(any("reload", &words), Ok(expected));
        assert!(any("reload", &["=3".to_owned()]).is_err());
    }
}
