//! What tasks write down of their runs: one file for all nodes, each line whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac::{Context, Value};

use crate::servers;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The body began.
    Begin,
    /// It still runs.
    Alive,
    /// It came to its end.
    End,
}

/// Writes a line for a running task.
///
/// # Panics
///
/// When the file cannot be written.
pub fn note(file: &str, word: Word, ctx: &Context) {
    let request = ctx.request();
    let deliveries = request.headers.extra.get("x-delivery-count");
    let now = celeriac::clock::now().duration_since(UNIX_EPOCH);
    let line = format!(
        "{} {} {} {} {} {} {}\n",
        match word {
            Word::Begin => "begin",
            Word::Alive => "alive",
            Word::End => "end",
        },
        ctx.id(),
        request.hostname,
        now.unwrap_or_default().as_millis(),
        ctx.retries(),
        u8::from(request.delivery.redelivered),
        deliveries.and_then(Value::as_i64).unwrap_or(0),
    );
    // One write of a file that is opened to append is one piece, whoever else writes.
    let written = OpenOptions::new()
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{file}: {error}");
    }
}

/// One run of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The node that ran it.
    pub node: String,
    /// When its body began.
    pub began: SystemTime,
    /// When it was last heard of.
    pub last: SystemTime,
    /// Whether it came to its end.
    pub ended: bool,
    /// What the body saw of retries.
    pub retries: u32,
    /// Whether the body saw that the message had been delivered before.
    pub redelivered: bool,
    /// What the body saw of the broker's count of deliveries.
    pub deliveries: u32,
}

/// The file.
#[derive(Debug)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// Makes an empty one in the run's folder.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn create(name: &str) -> Self {
        let path = servers::log_folder().join(format!("{name}.ledger"));
        File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Returns its name, for the arguments of tasks.
    pub fn file(&self) -> String {
        self.0.display().to_string()
    }

    /// Returns how many runs came to their end: fewer words than [`Self::runs`].
    pub fn ended(&self) -> usize {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.matches("\nend ").count()
    }

    /// Returns the runs of each task.
    ///
    /// # Panics
    ///
    /// When a line is not as [`note`] writes it, or of a run that did not begin.
    pub fn runs(&self) -> BTreeMap<String, Vec<Run>> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let mut runs: BTreeMap<String, Vec<Run>> = BTreeMap::new();
        // A line that is being written is not yet there.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [word, id, node, at, retries, redelivered, deliveries] = words[..] else {
                panic!("a line of the ledger: {line:?}");
            };
            let at = UNIX_EPOCH + Duration::from_millis(at.parse().unwrap());
            let of_task = runs.entry(id.to_owned()).or_default();
            if word == "begin" {
                of_task.push(Run {
                    node: node.to_owned(),
                    began: at,
                    last: at,
                    ended: false,
                    retries: retries.parse().unwrap(),
                    redelivered: redelivered == "1",
                    deliveries: deliveries.parse().unwrap(),
                });
                continue;
            }
            let run = of_task.iter_mut().rev().find(|run| run.node == node);
            let run = run.unwrap_or_else(|| panic!("a run that did not begin: {line:?}"));
            run.last = at;
            run.ended |= word == "end";
        }
        runs
    }

    /// Returns the runs of one task.
    pub fn of(&self, id: &str) -> Vec<Run> {
        self.runs().remove(id).unwrap_or_default()
    }
}
