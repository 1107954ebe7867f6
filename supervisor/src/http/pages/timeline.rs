//! A task's way from sent to result, drawn and as a list. Pure.

use std::fmt::Write;

use jiff::Timestamp;

use super::text::{self, Markup};
use crate::http::view::TaskView;

/// A task's way from sent to result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) drawing: Markup,
    pub(super) steps: Vec<Step>,
    /// The spans in words.
    pub(super) summary: String,
}

/// A moment on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) tone: &'static str,
    pub(super) at: Markup,
    /// How long after the step before.
    pub(super) after: String,
}

/// A stretch between two moments.
struct Stretch {
    name: &'static str,
    tone: &'static str,
    from: f64,
    to: f64,
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 64.0;
/// No stretch that took any time is drawn narrower than this.
const THIN: f64 = 3.0;

impl Timeline {
    pub(super) fn of(task: &TaskView, now: Timestamp) -> Self {
        let at = |text: &Option<String>| {
            text.as_deref()
                .and_then(|text| text.parse::<Timestamp>().ok())
        };
        let last = match task.state.as_str() {
            "SUCCESS" => ("succeeded", "good"),
            "FAILURE" => ("failed", "bad"),
            "REVOKED" => ("revoked", "warn"),
            "REJECTED" => ("rejected", "bad"),
            _ => ("ended", ""),
        };
        let moments = [
            ("sent", "", at(&task.sent_at)),
            ("received", "", at(&task.received_at)),
            ("started", "busy", at(&task.started_at)),
            (last.0, last.1, at(&task.finished_at)),
        ];
        let known: Vec<_> = moments
            .into_iter()
            .filter_map(|(name, tone, at)| at.map(|at| (name, tone, at)))
            .collect();
        let mut steps = Vec::with_capacity(known.len());
        let mut before: Option<Timestamp> = None;
        for (name, tone, at) in &known {
            let passed = before.map(|before| at.duration_since(before).as_secs_f64());
            steps.push(Step {
                name,
                tone,
                at: text::clock(Some(&at.to_string())),
                after: match passed {
                    None => String::new(),
                    // Clocks of two machines disagree.
                    Some(passed) if passed < 0.0 => {
                        format!("{} earlier, by its clock", text::span(-passed))
                    }
                    Some(passed) => format!("+ {}", text::span(passed)),
                },
            });
            before = Some(*at);
        }
        let ended = at(&task.finished_at);
        let stretches = stretches(&moments.map(|(_, _, at)| at), ended, now, last.1);
        let summary = stretches
            .iter()
            .map(|stretch| format!("{} {}", stretch.name, text::span(stretch.to - stretch.from)))
            .collect::<Vec<_>>()
            .join(" · ");
        Self {
            drawing: draw(&stretches, ended.is_none()),
            steps,
            summary,
        }
    }
}

fn stretches(
    [sent, received, started, _]: &[Option<Timestamp>; 4],
    ended: Option<Timestamp>,
    now: Timestamp,
    tone: &'static str,
) -> Vec<Stretch> {
    let first = [*sent, *received, *started].into_iter().flatten().min();
    let Some(first) = first else {
        return Vec::new();
    };
    let since = |at: Timestamp| at.duration_since(first).as_secs_f64().max(0.0);
    let end = ended.unwrap_or(now);
    let mut stretches = Vec::new();
    let mut add = |name, tone, from: Option<Timestamp>, to: Option<Timestamp>| {
        if let (Some(from), Some(to)) = (from, to) {
            let (from, to) = (since(from), since(to));
            if to >= from {
                stretches.push(Stretch {
                    name,
                    tone,
                    from,
                    to,
                });
            }
        }
    };
    add(
        "in the queue",
        "wait",
        *sent,
        received.or(*started).or(Some(end)),
    );
    add("at the node", "warn", *received, started.or(Some(end)));
    add(
        "running",
        if ended.is_some() { tone } else { "busy" },
        *started,
        Some(end),
    );
    stretches
}

fn draw(stretches: &[Stretch], open: bool) -> Markup {
    let whole = stretches
        .iter()
        .map(|stretch| stretch.to)
        .fold(0.0, f64::max);
    if stretches.is_empty() {
        return Markup(
            "<p class=\"soft\">Nobody told when it was sent, received or started.</p>".to_owned(),
        );
    }
    let scale = if whole > 0.0 {
        (WIDTH - 2.0) / whole
    } else {
        0.0
    };
    let mut svg = String::with_capacity(1_024);
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\">"
    );
    for share in 0..=4 {
        let x = 1.0 + f64::from(share) / 4.0 * (WIDTH - 2.0);
        let anchor = ["start", "middle", "middle", "middle", "end"][share as usize];
        let label = text::span(whole * f64::from(share) / 4.0);
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"2\" y2=\"42\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"58\" text-anchor=\"{anchor}\">{label}</text>"
        );
    }
    for (row, stretch) in stretches.iter().enumerate() {
        let y = 5.0 + row as f64 * 12.0;
        let width = ((stretch.to - stretch.from) * scale).max(THIN);
        let x = (1.0 + stretch.from * scale).min(WIDTH - width);
        let tone = if stretch.tone.is_empty() {
            "wait"
        } else {
            stretch.tone
        };
        let _ = write!(
            svg,
            "<rect class=\"bar {tone}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"9\" rx=\"2.5\"><title>{} {}{}</title></rect>",
            stretch.name,
            text::span(stretch.to - stretch.from),
            if open { ", so far" } else { "" },
        );
    }
    svg.push_str("</svg>");
    Markup(svg)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn task(state: &str, moments: [Option<&str>; 4]) -> TaskView {
        let [sent_at, received_at, started_at, finished_at] =
            moments.map(|at| at.map(|second| format!("2026-01-31T12:00:{second}Z")));
        TaskView {
            state: state.to_owned(),
            sent_at,
            received_at,
            started_at,
            finished_at,
            ..TaskView::default()
        }
    }

    fn now() -> Timestamp {
        "2026-01-31T12:00:30Z".parse().unwrap()
    }

    #[test]
    fn the_way_is_told_in_stretches() {
        let task = task("SUCCESS", [Some("00"), Some("02"), Some("03"), Some("13")]);
        let timeline = Timeline::of(&task, now());
        assert_eq!(
            timeline.summary,
            "in the queue 2.00 s · at the node 1.00 s · running 10.0 s"
        );
        let names: Vec<_> = timeline
            .steps
            .iter()
            .map(|step| (step.name, step.after.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("sent", ""),
                ("received", "+ 2.00 s"),
                ("started", "+ 1.00 s"),
                ("succeeded", "+ 10.0 s")
            ]
        );
        assert_eq!(timeline.drawing.0.matches("<rect").count(), 3);
    }

    #[test]
    fn what_runs_reaches_until_now() {
        let timeline = Timeline::of(
            &task("STARTED", [None, Some("02"), Some("03"), None]),
            now(),
        );
        assert_eq!(timeline.summary, "at the node 1.00 s · running 27.0 s");
        assert!(timeline.drawing.0.contains("so far"));
    }

    #[test]
    fn clocks_that_disagree_and_silence_draw_nothing_wrong() {
        let timeline = Timeline::of(
            &task("SUCCESS", [Some("05"), Some("02"), Some("03"), Some("04")]),
            now(),
        );
        assert!(timeline.steps[1].after.contains("earlier, by its clock"));
        assert!(!timeline.drawing.0.contains("width=\"-"));
        let nothing = Timeline::of(&task("SUCCESS", [None, None, None, Some("04")]), now());
        assert_eq!(nothing.summary, "");
        assert_eq!(nothing.steps.len(), 1);
    }
}
