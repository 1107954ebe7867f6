//! How the screen looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{
    Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Tabs,
};
use serde_json::Value;

use super::screen::{Mode, Screen, Tab};
use super::snapshot::{Node, Queue, Snapshot, Task};
use crate::output::columns;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, colors: bool) {
    let palette = Palette(colors);
    let [head, pace, tabs, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(screen, palette)), head);
    let width = usize::from(pace.width);
    let from = screen.snapshot.pace.len().saturating_sub(width);
    let spark = Sparkline::default()
        .data(&screen.snapshot.pace[from..])
        .style(palette.of(Color::Cyan));
    frame.render_widget(spark, pace);
    let titles = Tab::ALL.map(|tab| format!("{} {}", tab as usize + 1, tab.title()));
    let tabs_line = Tabs::new(titles)
        .select(screen.tab as usize)
        .highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(tabs_line, tabs);
    match &screen.mode {
        Mode::Details { text, top } => details(frame, body, text, *top),
        _ => table(frame, body, screen, palette),
    }
    frame.render_widget(Paragraph::new(foot_line(screen, palette)), foot);
    if screen.mode == Mode::Help {
        help(frame);
    }
}

#[derive(Clone, Copy)]
struct Palette(bool);

impl Palette {
    fn of(self, color: Color) -> Style {
        if self.0 {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    fn state(self, state: &str) -> Style {
        match state {
            "online" | "SUCCESS" => self.of(Color::Green),
            "lost" | "FAILURE" => self.of(Color::Red).add_modifier(Modifier::BOLD),
            "suspect" | "draining" | "RETRY" | "REVOKED" | "REJECTED" => self.of(Color::Yellow),
            "STARTED" => self.of(Color::Cyan),
            _ => Style::new(),
        }
    }
}

fn heading(screen: &Screen, palette: Palette) -> Text<'static> {
    let overview = &screen.snapshot.overview;
    let (word, style) = match overview.ready {
        true => ("ready", palette.of(Color::Green)),
        false => ("not ready", palette.of(Color::Red)),
    };
    let first = Line::from(vec![
        Span::styled("celeriac", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  ", screen.cluster)),
        Span::styled(word, style),
        Span::raw(if screen.frozen { "  frozen" } else { "" }),
    ]);
    Text::from(vec![first, Line::from(figures(&screen.snapshot))])
}

/// The figures of the last minute in one line.
fn figures(snapshot: &Snapshot) -> String {
    let overview = &snapshot.overview;
    let (rates, load) = (&overview.last_minute, &overview.load);
    let failures = rates
        .failure_ratio
        .map_or_else(unknown, |ratio| format!("{:.1} %", ratio * 100.0));
    let [p50, _, p99] = rates.runtime.map(|time| time.map_or_else(unknown, span));
    let wait = rates.queue_time[1].map_or_else(unknown, span);
    format!(
        "{:.1}/s  failed {failures}  run {p50} p50 {p99} p99  wait {wait} p95  \
         running {}/{}  waiting {}  load {}",
        rates.per_second,
        load.running,
        load.slots,
        overview.backlog.ready,
        load.load.map_or_else(unknown, |load| format!("{load:.2}")),
    )
}

fn unknown() -> String {
    "-".to_owned()
}

/// A span of time in the unit that suits it.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0}us", s * 1e6),
        s if s < 1.0 => format!("{:.0}ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1}s"),
        s if s < 7_200.0 => format!("{:.0}m", s / 60.0),
        s if s < 172_800.0 => format!("{:.0}h", s / 3_600.0),
        s => format!("{:.0}d", s / 86_400.0),
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(unknown, |count| count.to_string())
}

const NODES: [&str; 7] = ["NODE", "STATE", "RUNNING", "DONE", "LOAD", "SEEN", "QUEUES"];
const QUEUES: [&str; 6] = ["QUEUE", "READY", "OLDEST", "CONSUMERS", "LOAD", "STATE"];
const TASKS: [&str; 6] = ["WHEN", "STATE", "TASK", "TOOK", "NODE", "ID"];

fn node_cells(node: &Node) -> Vec<String> {
    let places = node
        .concurrency
        .map_or_else(unknown, |places| places.to_string());
    let load = node
        .loadavg
        .map_or_else(unknown, |[load, ..]| format!("{load:.2}"));
    vec![
        node.name.clone(),
        node.state.clone(),
        format!("{}/{places}", number(node.active)),
        number(node.processed),
        load,
        span(node.silent_seconds),
        node.queues.as_deref().unwrap_or_default().join(","),
    ]
}

fn queue_cells(queue: &Queue) -> Vec<String> {
    vec![
        queue.name.clone(),
        number(queue.ready),
        queue.oldest_seconds.map_or_else(unknown, span),
        number(queue.consumers),
        queue.load.map_or_else(unknown, |load| format!("{load:.2}")),
        (if queue.paused { "paused" } else { "" }).to_owned(),
    ]
}

fn task_cells(task: &Task) -> Vec<String> {
    let time = task.changed_at.as_deref().and_then(|at| at.get(11..19));
    let name = task.name.clone().unwrap_or_else(unknown);
    let name = match &task.exception {
        Some(exception) => format!("{name}: {}", exception.lines().next().unwrap_or_default()),
        None => name,
    };
    vec![
        time.unwrap_or("-").to_owned(),
        task.state.clone(),
        name,
        task.runtime_seconds.map_or_else(unknown, span),
        task.worker.clone().unwrap_or_else(unknown),
        task.id.clone(),
    ]
}

fn table(frame: &mut Frame<'_>, area: Rect, screen: &Screen, palette: Palette) {
    use Constraint::{Fill, Length, Max, Min};
    let places = screen.rows();
    let snapshot = &screen.snapshot;
    let (heading, widths, cells): (&[&str], Vec<Constraint>, Vec<Vec<String>>) = match screen.tab {
        Tab::Nodes => (
            &NODES,
            vec![
                Min(16),
                Length(8),
                Length(9),
                Length(9),
                Length(6),
                Length(6),
                Fill(1),
            ],
            places
                .iter()
                .map(|at| node_cells(&snapshot.nodes[*at]))
                .collect(),
        ),
        Tab::Queues => (
            &QUEUES,
            vec![
                Min(16),
                Length(9),
                Length(7),
                Length(9),
                Length(6),
                Length(8),
            ],
            places
                .iter()
                .map(|at| queue_cells(&snapshot.queues[*at]))
                .collect(),
        ),
        Tab::Tasks => (
            &TASKS,
            vec![Length(8), Length(8), Fill(1), Length(6), Max(20), Max(36)],
            places
                .iter()
                .map(|at| task_cells(&snapshot.tasks[*at]))
                .collect(),
        ),
    };
    if cells.is_empty() {
        let text = match (screen.filter.is_empty(), screen.tab) {
            (false, _) => "nothing matches the filter; Esc takes it away",
            (true, Tab::Nodes) => "no node has been heard of yet",
            (true, Tab::Queues) => "no queue is known yet",
            (true, Tab::Tasks) => {
                "no task has been heard of yet; workers send events of tasks when started with -E"
            }
        };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let row = |cells: Vec<String>| {
        let style = |cell: &str| palette.state(cell);
        Row::new(cells.into_iter().map(|cell| {
            let style = style(&cell);
            Cell::from(cell).style(style)
        }))
    };
    let mut state = TableState::new().with_selected(screen.chosen(&places));
    let table = Table::new(cells.into_iter().map(row), widths)
        .header(Row::new(heading.to_vec()).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut state);
}

fn details(frame: &mut Frame<'_>, area: Rect, text: &[String], top: usize) {
    let shown: Vec<Line<'_>> = text
        .iter()
        .skip(top)
        .map(|line| Line::from(line.as_str()))
        .collect();
    let block = Block::new()
        .borders(Borders::TOP)
        .title("all that is known");
    frame.render_widget(Paragraph::new(shown).block(block), area);
}

fn foot_line(screen: &Screen, palette: Palette) -> Line<'static> {
    match (&screen.mode, &screen.said) {
        (Mode::Question(order), _) => Line::styled(
            format!("{}? y/n", order.what),
            palette.of(Color::Yellow).add_modifier(Modifier::BOLD),
        ),
        (Mode::Details { .. }, _) => {
            Line::from("up down, PgUp PgDn scroll  any other key goes back")
        }
        (Mode::Filter, _) => Line::from(format!("filter: {}_", screen.filter)),
        (_, Some(said)) => {
            let color = if said.good { Color::Green } else { Color::Red };
            Line::styled(said.text.clone(), palette.of(color))
        }
        _ => {
            let own = match screen.tab {
                Tab::Nodes => "d drain  s shut down  +/- places",
                Tab::Queues => "p pause or resume",
                Tab::Tasks => "r revoke  t stop  R replay",
            };
            let filter = match screen.filter.as_str() {
                "" => String::new(),
                filter => format!("  filter: {filter}"),
            };
            Line::from(format!(
                "Enter inspect  {own}  / filter  ? help  q quit{filter}"
            ))
        }
    }
}

const HELP: &str = "\
 1 2 3, Tab     nodes, queues, tasks
 up down, j k   choose a row; PgUp, PgDn, Home, End
 Enter          all that is known of it; Esc goes back
 /              show only rows with these letters
 Space          stand still, go on
 nodes          d drain   s shut down   + - places to run
 queues         p pause, or resume
 tasks          r revoke   t stop a running one   R replay a dead letter
 q              quit

 What changes something asks first.";

fn help(frame: &mut Frame<'_>) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let area = frame.area();
    let (width, height) = (68.min(area.width), (lines + 2).min(area.height));
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(HELP).block(Block::bordered().title("Keys")),
        place,
    );
}

/// One picture as text.
pub(super) fn plain(snapshot: &Snapshot) -> String {
    let part = |heading: &[&str], rows: Vec<Vec<String>>| {
        let heading = heading.iter().map(|name| (*name).to_owned()).collect();
        columns(&[vec![heading], rows].concat())
    };
    [
        figures(snapshot),
        part(&NODES, snapshot.nodes.iter().map(node_cells).collect()),
        part(&QUEUES, snapshot.queues.iter().map(queue_cells).collect()),
        part(
            &TASKS,
            snapshot.tasks.iter().take(20).map(task_cells).collect(),
        ),
    ]
    .join("\n\n")
}

/// Writes what is known of one thing line by line.
pub(super) fn lines(value: &Value) -> Vec<String> {
    let Some(fields) = value.as_object() else {
        return vec![value.to_string()];
    };
    let mut lines = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) if text.contains('\n') => {
                lines.push(format!("{name}:"));
                lines.extend(text.lines().map(|line| format!("    {line}")));
            }
            Value::String(text) => lines.push(format!("{name}: {text}")),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.push(format!("{name}:"));
                lines.extend(items.iter().map(|item| format!("    {item}")));
            }
            other => lines.push(format!("{name}: {other}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::snapshot::tests::example;
    use super::*;

    fn picture(keys: &str, width: u16, height: u16) -> String {
        let mut screen = Screen::new("http://127.0.0.1:9595".to_owned());
        screen.take(Ok(example()));
        for key in keys.chars() {
            screen.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        }
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &screen, true)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn every_tab_fits_a_small_terminal() {
        let nodes = picture("", 100, 24);
        for text in [
            "12.5/s",
            "failed 2.0 %",
            "waiting 12345",
            "one@host",
            "2/4",
            "celery,mail",
            "lost",
        ] {
            assert!(nodes.contains(text), "{text}:\n{nodes}");
        }
        let queues = picture("2", 80, 24);
        for text in ["12000", "1", "61.0s", "paused"] {
            assert!(queues.contains(text), "{text}:\n{queues}");
        }
        let tasks = picture("3", 120, 24);
        for text in [
            "18:00:01",
            "FAILURE",
            "shop.pay: KeyError('card')",
            "0aaa-1",
        ] {
            assert!(tasks.contains(text), "{text}:\n{tasks}");
        }
        assert!(picture("3r", 80, 24).contains("revoke 0aaa-1? y/n"));
        assert!(picture("?", 80, 24).contains("drain"));
        // Nothing panics where there is no room at all.
        for keys in ["", "2", "3", "?", "3r", "/"] {
            picture(keys, 5, 3);
            picture(keys, 1, 1);
        }
    }

    #[test]
    fn details_are_lines() {
        let value = serde_json::json!({"id": "a", "traceback": "x\ny", "none": null, "n": 3,
            "timeline": [{"state": "SENT"}]});
        let expected = [
            "id: a",
            "n: 3",
            "timeline:",
            "    {\"state\":\"SENT\"}",
            "traceback:",
            "    x",
            "    y",
        ];
        let mut lines = lines(&value);
        lines.sort_by_key(|line| expected.iter().position(|e| e == line));
        assert_eq!(lines, expected);
    }
}
