//! What the screen shows and what keys do to it: decisions without a terminal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::api::path;
use crate::error::Error;

/// The screen.
///
/// ```text
///   List --Enter--> Details --Esc--> List
///     |  --/-->     Filter  --Enter, Esc--> List
///     |  --?-->     Help    --any key--> List
///     '  --d, r, ...--> Question --y--> (done) List; any other key: List
/// ```
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) cluster: String,
    pub(super) snapshot: Snapshot,
    pub(super) tab: Tab,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) frozen: bool,
    pub(super) said: Option<Said>,
    /// The name of the chosen row of each tab: rows come and go, and the choice stays.
    chosen: [Option<String>; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Nodes,
    Queues,
    Tasks,
}

/// What keys mean at the moment; drawn at [`Screen`].
#[derive(Debug, PartialEq)]
pub(super) enum Mode {
    List,
    Filter,
    Help,
    Details { text: Vec<String>, top: usize },
    Question(Order),
}

/// What is asked of the supervisor when a person says yes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) what: String,
    pub(super) path: String,
    pub(super) body: Value,
}

/// What the owner of the screen is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Quit,
    /// Get this path and show what it says.
    Inspect(String),
    Do(Order),
}

/// The last word at the bottom.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) good: bool,
}

/// How far a page of rows goes.
const PAGE: isize = 10;

impl Tab {
    pub(super) const ALL: [Self; 3] = [Self::Nodes, Self::Queues, Self::Tasks];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Nodes => "Nodes",
            Self::Queues => "Queues",
            Self::Tasks => "Tasks",
        }
    }

    const fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

impl Screen {
    pub(super) fn new(cluster: String) -> Self {
        Self {
            cluster,
            snapshot: Snapshot::default(),
            tab: Tab::Nodes,
            mode: Mode::List,
            filter: String::new(),
            frozen: false,
            said: None,
            chosen: [None, None, None],
        }
    }

    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Takes in a new picture, or why there is none.
    pub(super) fn take(&mut self, taken: Result<Snapshot, Error>) {
        match taken {
            Ok(snapshot) => {
                if self.said.as_ref().is_some_and(|said| !said.good) {
                    self.said = None;
                }
                self.snapshot = snapshot;
            }
            Err(error) => self.say(error.to_string(), false),
        }
    }

    /// Takes in what was asked for about one thing.
    pub(super) fn details(&mut self, details: Result<Value, Error>) {
        match details {
            Ok(value) => {
                let text = super::view::lines(&value);
                self.mode = Mode::Details { text, top: 0 };
            }
            Err(error) => self.say(error.to_string(), false),
        }
    }

    /// Takes in whether an order was carried out.
    pub(super) fn done(&mut self, done: Result<String, Error>) {
        match done {
            Ok(what) => self.say(format!("done: {what}"), true),
            Err(error) => self.say(error.to_string(), false),
        }
    }

    fn say(&mut self, text: String, good: bool) {
        self.said = Some(Said { text, good });
    }

    /// The keys of the rows of the present tab, as far as the filter lets them through.
    pub(super) fn rows(&self) -> Vec<usize> {
        let filter = self.filter.to_lowercase();
        let takes = |texts: &[&str]| {
            filter.is_empty()
                || texts
                    .iter()
                    .any(|text| text.to_lowercase().contains(&filter))
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let Snapshot {
            nodes,
            queues,
            tasks,
            ..
        } = &self.snapshot;
        match self.tab {
            Tab::Nodes => places(nodes, |node| takes(&[&node.name, &node.state])),
            Tab::Queues => places(queues, |queue| takes(&[&queue.name])),
            Tab::Tasks => places(tasks, |task| {
                let (name, worker, queue) =
                    (text(&task.name), text(&task.worker), text(&task.queue));
                takes(&[&task.id, &task.state, &name, &worker, &queue])
            }),
        }
    }

    fn key_of(&self, row: usize) -> &str {
        match self.tab {
            Tab::Nodes => &self.snapshot.nodes[row].name,
            Tab::Queues => &self.snapshot.queues[row].name,
            Tab::Tasks => &self.snapshot.tasks[row].id,
        }
    }

    /// Returns the place of the chosen row among [`Self::rows`].
    pub(super) fn chosen(&self, rows: &[usize]) -> Option<usize> {
        let chosen = self.chosen[self.tab as usize].as_deref();
        let place = rows
            .iter()
            .position(|row| Some(self.key_of(*row)) == chosen);
        place.or(if rows.is_empty() { None } else { Some(0) })
    }

    fn chosen_row(&self) -> Option<usize> {
        let rows = self.rows();
        self.chosen(&rows).map(|place| rows[place])
    }

    fn choose(&mut self, by: isize) {
        let rows = self.rows();
        let Some(now) = self.chosen(&rows) else {
            return;
        };
        let next = now.saturating_add_signed(by).min(rows.len() - 1);
        self.chosen[self.tab as usize] = Some(self.key_of(rows[next]).to_owned());
    }

    /// Decides what a key does.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Action::Quit);
        }
        match std::mem::replace(&mut self.mode, Mode::List) {
            Mode::List => self.key_in_list(key.code),
            Mode::Filter => {
                self.key_in_filter(key.code);
                None
            }
            Mode::Help => None,
            Mode::Details { text, top } => {
                self.key_in_details(key.code, text, top);
                None
            }
            Mode::Question(order) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    self.say(format!("asked: {}", order.what), true);
                    Some(Action::Do(order))
                }
                _ => {
                    self.say("nothing was done".to_owned(), true);
                    None
                }
            },
        }
    }

    fn key_in_list(&mut self, key: KeyCode) -> Option<Action> {
        match key {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Esc if self.filter.is_empty() => return Some(Action::Quit),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::Right => self.tab = self.tab.step(1),
            KeyCode::BackTab | KeyCode::Left => self.tab = self.tab.step(2),
            KeyCode::Char('1') => self.tab = Tab::Nodes,
            KeyCode::Char('2') => self.tab = Tab::Queues,
            KeyCode::Char('3') => self.tab = Tab::Tasks,
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            KeyCode::PageDown => self.choose(PAGE),
            KeyCode::PageUp => self.choose(-PAGE),
            KeyCode::Home => self.choose(isize::MIN),
            KeyCode::End => self.choose(isize::MAX),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char(' ') => self.frozen = !self.frozen,
            KeyCode::Enter => return self.inspect(),
            KeyCode::Char(letter) => {
                if let Some(order) = self.order(letter) {
                    self.mode = Mode::Question(order);
                }
            }
            _ => {}
        }
        None
    }

    fn key_in_filter(&mut self, key: KeyCode) {
        self.mode = Mode::Filter;
        match key {
            KeyCode::Enter => self.mode = Mode::List,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::List;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.filter.len() < 100 => self.filter.push(letter),
            _ => {}
        }
    }

    fn key_in_details(&mut self, key: KeyCode, text: Vec<String>, top: usize) {
        let last = text.len().saturating_sub(1);
        let top = match key {
            KeyCode::Down | KeyCode::Char('j') => top + 1,
            KeyCode::Up | KeyCode::Char('k') => top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => top.saturating_add_signed(PAGE),
            KeyCode::PageUp => top.saturating_add_signed(-PAGE),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => return,
        };
        let top = top.min(last);
        self.mode = Mode::Details { text, top };
    }

    fn inspect(&self) -> Option<Action> {
        let key = self.key_of(self.chosen_row()?);
        let noun = match self.tab {
            Tab::Nodes => "nodes",
            Tab::Queues => "queues",
            Tab::Tasks => "tasks",
        };
        Some(Action::Inspect(path(&[noun, key])))
    }

    /// What a letter means for the chosen row.
    fn order(&self, letter: char) -> Option<Order> {
        let row = self.chosen_row()?;
        let key = self.key_of(row);
        let order = |what: &str, segments: &[&str], body: Value| {
            let what = format!("{what} {key}");
            let path = path(segments);
            Some(Order { what, path, body })
        };
        let control = |what: &str, command: &str| {
            let body = json!({ "command": command, "arguments": { "n": 1 } });
            order(what, &["nodes", key, "control"], body)
        };
        match (self.tab, letter) {
            (Tab::Nodes, 'd') => order("drain", &["nodes", key, "drain"], json!({})),
            (Tab::Nodes, 's') => order("shut down", &["nodes", key, "shutdown"], json!({})),
            (Tab::Nodes, '+') => control("one place more on", "pool_grow"),
            (Tab::Nodes, '-') => control("one place less on", "pool_shrink"),
            (Tab::Queues, 'p') if self.snapshot.queues[row].paused => {
                order("resume", &["queues", key, "resume"], json!({}))
            }
            (Tab::Queues, 'p') => order("pause", &["queues", key, "pause"], json!({})),
            (Tab::Tasks, 'r') => order("revoke", &["tasks", key, "revoke"], json!({})),
            (Tab::Tasks, 't') => order(
                "stop",
                &["tasks", key, "revoke"],
                json!({ "terminate": true }),
            ),
            (Tab::Tasks, 'R') => order("replay", &["tasks", key, "replay"], json!({})),
            _ => None,
        }
    }
}

fn places<T>(all: &[T], takes: impl Fn(&T) -> bool) -> Vec<usize> {
    (0..all.len()).filter(|place| takes(&all[*place])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::snapshot::tests::example;
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::new("test".to_owned());
        screen.take(Ok(example()));
        screen
    }

    fn press(screen: &mut Screen, keys: &str) -> Option<Action> {
        let mut action = None;
        for letter in keys.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            action = screen.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        action
    }

    #[test]
    fn nothing_is_done_before_a_person_says_yes() {
        let mut screen = screen();
        assert_eq!(press(&mut screen, "d"), None);
        assert!(matches!(screen.mode, Mode::Question(_)));
        assert_eq!(press(&mut screen, "n"), None);
        assert_eq!(screen.mode, Mode::List);
        let Some(Action::Do(order)) = press(&mut screen, "dy") else {
            panic!("expected an order");
        };
        assert_eq!(order.path, "/api/v1/nodes/one@host/drain");
    }

    #[test]
    fn each_tab_has_keys_of_its_own() {
        let cases = [
            ("1j+y", "/api/v1/nodes/two@host/control"),
            ("2py", "/api/v1/queues/celery/pause"),
            ("2jpy", "/api/v1/queues/mail/resume"),
            ("3ry", "/api/v1/tasks/0aaa-1/revoke"),
            ("3Ry", "/api/v1/tasks/0aaa-1/replay"),
        ];
        for (keys, path) in cases {
            match press(&mut screen(), keys) {
                Some(Action::Do(order)) => assert_eq!(order.path, path, "{keys}"),
                other => panic!("{keys}: expected an order, found {other:?}"),
            }
        }
        assert_eq!(press(&mut screen(), "2d"), None);
        let inspect = Action::Inspect("/api/v1/tasks/0bbb-2".to_owned());
        assert_eq!(press(&mut screen(), "3j\n"), Some(inspect));
    }

    #[test]
    fn the_choice_stays_with_its_row() {
        let mut screen = screen();
        press(&mut screen, "j");
        let mut changed = example();
        changed.nodes.insert(0, changed.nodes[0].clone());
        changed.nodes[0].name = "a@new".to_owned();
        screen.take(Ok(changed));
        let rows = screen.rows();
        assert_eq!(
            screen.key_of(rows[screen.chosen(&rows).unwrap()]),
            "two@host"
        );
        screen.take(Ok(Snapshot::default()));
        assert_eq!(press(&mut screen, "dj\n"), None);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut screen = screen();
        press(&mut screen, "/LOST\n");
        assert_eq!(screen.rows(), [1]);
        assert_eq!(press(&mut screen, "\u{1b}"), None);
        assert_eq!(screen.rows(), [0, 1]);
        assert_eq!(press(&mut screen, "\u{1b}"), Some(Action::Quit));
    }

    #[test]
    fn a_supervisor_out_of_reach_keeps_the_last_picture() {
        let mut screen = screen();
        screen.take(Err(Error::Failed("out of reach".to_owned())));
        assert_eq!(screen.snapshot, example());
        assert!(!screen.said.as_ref().unwrap().good);
        screen.take(Ok(example()));
        assert_eq!(screen.said, None);
    }
}
