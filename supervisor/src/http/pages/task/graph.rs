//! A workflow as a graph: its members in layers, drawn, and as a list. Pure.
//!
//! A member stands one layer to the right of the last of those that it follows; within
//! a layer members are ordered by where those they follow stand. A layer with many
//! members shows the first ones and sums up the rest.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use crate::http::pages::row::UNNAMED;
use crate::http::pages::text::{self, Escaped, Markup};

/// A workflow as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http::pages) struct Graph {
    pub(in crate::http::pages) count: usize,
    /// How many members are in which state.
    pub(in crate::http::pages) summary: String,
    pub(in crate::http::pages) drawing: Markup,
    pub(in crate::http::pages) members: Vec<Listed>,
}

/// A member in the list.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http::pages) struct Listed {
    pub(in crate::http::pages) id: String,
    pub(in crate::http::pages) name: String,
    pub(in crate::http::pages) state: String,
    /// The names of those it follows.
    pub(in crate::http::pages) after: String,
    pub(in crate::http::pages) here: bool,
}

/// A member of a workflow, and the ids of those it follows.
#[derive(Debug, Clone, Default)]
pub(in crate::http::pages) struct Member {
    pub(in crate::http::pages) id: String,
    pub(in crate::http::pages) name: Option<String>,
    pub(in crate::http::pages) state: String,
    pub(in crate::http::pages) after: Vec<String>,
}

/// A box of the drawing: a member, or what is left of a layer.
struct Spot<'a> {
    member: Option<&'a Member>,
    rest: usize,
    layer: usize,
    row: usize,
}

const WIDE: f64 = 172.0;
const HIGH: f64 = 36.0;
const STEP_X: f64 = 222.0;
const STEP_Y: f64 = 46.0;
/// How many members of a layer are drawn.
const DRAWN: usize = 14;
/// How many members are listed.
const LISTED: usize = 300;
/// Letters of a name that fit into a box.
const LETTERS: usize = 24;

impl Graph {
    /// Draws a workflow; `None` when there is nothing to it but one task.
    pub(in crate::http::pages) fn of(members: &[Member], here: &str) -> Option<Self> {
        if members.len() < 2 {
            return None;
        }
        let places: HashMap<&str, usize> = members
            .iter()
            .enumerate()
            .map(|(at, member)| (member.id.as_str(), at))
            .collect();
        let layers = layers(members, &places);
        let spots = arrange(members, &places, &layers, here);
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for member in members {
            *states.entry(&member.state).or_default() += 1;
        }
        let summary = states
            .iter()
            .map(|(state, count)| format!("{count} {state}"));
        let name = |member: &Member| member.name.clone().unwrap_or_else(|| UNNAMED.to_owned());
        let listed = members.iter().take(LISTED).map(|member| {
            let after = member.after.iter().filter_map(|id| places.get(id.as_str()));
            let mut after: Vec<_> = after.map(|&at| name(&members[at])).collect();
            after.dedup();
            Listed {
                id: member.id.clone(),
                name: name(member),
                state: member.state.clone(),
                after: after.join(", "),
                here: member.id == here,
            }
        });
        Some(Self {
            count: members.len(),
            summary: summary.collect::<Vec<_>>().join(", "),
            drawing: draw(&spots, here),
            members: listed.collect(),
        })
    }
}

/// Gives each member its layer. What comes from outside may name itself or go in a
/// circle: after as many turns as there are members, whoever still moves stays.
fn layers(members: &[Member], places: &HashMap<&str, usize>) -> Vec<usize> {
    let mut layers = vec![0_usize; members.len()];
    for _ in 0..members.len() {
        let mut moved = false;
        for (at, member) in members.iter().enumerate() {
            let before = member.after.iter().filter_map(|id| places.get(id.as_str()));
            let before = before
                .filter(|&&other| other != at)
                .map(|&other| layers[other] + 1);
            let layer = before.max().unwrap_or(0).min(members.len());
            if layer > layers[at] {
                layers[at] = layer;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    layers
}

fn arrange<'a>(
    members: &'a [Member],
    places: &HashMap<&str, usize>,
    layers: &[usize],
    here: &str,
) -> Vec<Spot<'a>> {
    let mut by_layer: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, layer) in layers.iter().enumerate() {
        by_layer.entry(*layer).or_default().push(at);
    }
    let mut rows: HashMap<usize, f64> = HashMap::new();
    let mut spots = Vec::new();
    // Circles leave gaps between the numbers; in the drawing there are none.
    for (layer, (_, mut inside)) in by_layer.into_iter().enumerate() {
        let wish = |at: usize| {
            let before = members[at]
                .after
                .iter()
                .filter_map(|id| places.get(id.as_str()));
            let known: Vec<_> = before.filter_map(|other| rows.get(other)).collect();
            match known.is_empty() {
                true => f64::MAX,
                false => known.iter().copied().sum::<f64>() / known.len() as f64,
            }
        };
        let wishes: HashMap<usize, f64> = inside.iter().map(|&at| (at, wish(at))).collect();
        // The task whose page it is, and what went wrong, must not hide in the rest.
        let urgent = |at: usize| members[at].id == here || text::tone(&members[at].state) == "bad";
        if inside.len() > DRAWN {
            inside.sort_by_key(|&at| !urgent(at));
        } else {
            inside.sort_by(|a, b| wishes[a].total_cmp(&wishes[b]).then(a.cmp(b)));
        }
        let drawn = if inside.len() > DRAWN {
            DRAWN - 1
        } else {
            inside.len()
        };
        for (row, &at) in inside.iter().enumerate() {
            rows.insert(at, row.min(drawn) as f64);
        }
        spots.extend(
            inside
                .iter()
                .take(drawn)
                .enumerate()
                .map(|(row, &at)| Spot {
                    member: Some(&members[at]),
                    rest: 0,
                    layer,
                    row,
                }),
        );
        if inside.len() > drawn {
            spots.push(Spot {
                member: None,
                rest: inside.len() - drawn,
                layer,
                row: drawn,
            });
        }
    }
    spots
}

fn draw(spots: &[Spot<'_>], here: &str) -> Markup {
    let layers = spots.iter().map(|spot| spot.layer + 1).max().unwrap_or(0);
    let mut high = vec![0_usize; layers];
    for spot in spots {
        high[spot.layer] = high[spot.layer].max(spot.row + 1);
    }
    let most = high.iter().copied().max().unwrap_or(0);
    let place = |spot: &Spot<'_>| {
        // Short layers stand in the middle beside long ones.
        let top = (most - high[spot.layer]) as f64 / 2.0;
        (
            4.0 + spot.layer as f64 * STEP_X,
            4.0 + (spot.row as f64 + top) * STEP_Y,
        )
    };
    let (width, height) = (
        8.0 + (layers.max(1) - 1) as f64 * STEP_X + WIDE,
        8.0 + (most.max(1) - 1) as f64 * STEP_Y + HIGH,
    );
    let by_id: HashMap<&str, &Spot<'_>> = spots
        .iter()
        .filter_map(|spot| spot.member.map(|member| (member.id.as_str(), spot)))
        .collect();
    let mut svg = String::with_capacity(spots.len() * 400);
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    );
    for spot in spots {
        let Some(member) = spot.member else { continue };
        for before in member.after.iter().filter_map(|id| by_id.get(id.as_str())) {
            if before.layer >= spot.layer {
                continue;
            }
            let ((x1, y1), (x2, y2)) = (place(before), place(spot));
            let (x1, y1, y2) = (x1 + WIDE, y1 + HIGH / 2.0, y2 + HIGH / 2.0);
            let bend = (x2 - x1) / 2.0;
            let _ = write!(
                svg,
                "<path class=\"edge\" d=\"M{x1} {y1}C{} {y1} {} {y2} {} {y2}\"/>\
                 <path class=\"tip\" d=\"M{x2} {y2}l-6 -3.5v7z\"/>",
                x1 + bend,
                x2 - bend,
                x2 - 5.0
            );
        }
    }
    for spot in spots {
        let (x, y) = place(spot);
        let Some(member) = spot.member else {
            let _ = write!(
                svg,
                "<g><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" rx=\"6\"/>\
                 <text x=\"{}\" y=\"{}\">and {} more</text></g>",
                x + 10.0,
                y + 22.0,
                spot.rest
            );
            continue;
        };
        let name = member.name.as_deref().unwrap_or(UNNAMED);
        let _ = write!(
            svg,
            "<a href=\"/tasks/{href}\"><title>{name} {id}: {state}</title>\
             <rect class=\"box {tone}{at}\" x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" rx=\"6\"/>\
             <text x=\"{tx}\" y=\"{y1}\">{label}</text><text class=\"soft\" x=\"{tx}\" y=\"{y2}\">{state}</text></a>",
            href = text::url(&member.id),
            name = Escaped(name),
            id = Escaped(&member.id),
            state = Escaped(&member.state),
            tone = text::tone(&member.state),
            at = if member.id == here { " here" } else { "" },
            tx = x + 10.0,
            y1 = y + 15.0,
            y2 = y + 29.0,
            label = Escaped(&ending(name)),
        );
    }
    svg.push_str("</svg>");
    Markup(svg)
}

/// The end of a name says more than its beginning, which is the module.
fn ending(name: &str) -> String {
    let letters = name.chars().count();
    match letters > LETTERS {
        true => format!(
            "…{}",
            name.chars().skip(letters - LETTERS + 1).collect::<String>()
        ),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn member(id: &str, after: &[&str]) -> Member {
        Member {
            id: id.to_owned(),
            name: Some(format!("app.{id}")),
            state: "SUCCESS".to_owned(),
            after: after.iter().map(|&id| id.to_owned()).collect(),
        }
    }

    #[test]
    fn a_chord_stands_in_three_layers() {
        let members = [
            member("a", &[]),
            member("b", &["a"]),
            member("c", &["a"]),
            member("d", &["b", "c"]),
        ];
        let places = members
            .iter()
            .enumerate()
            .map(|(at, m)| (m.id.as_str(), at))
            .collect();
        assert_eq!(layers(&members, &places), [0, 1, 1, 2]);
        let graph = Graph::of(&members, "c").unwrap();
        assert_eq!(graph.count, 4);
        assert_eq!(graph.summary, "4 SUCCESS");
        assert_eq!(graph.members[3].after, "app.b, app.c");
        assert_eq!(graph.drawing.0.matches("class=\"edge\"").count(), 4);
        assert_eq!(graph.drawing.0.matches(" here\"").count(), 1);
    }

    #[test]
    fn one_task_is_no_workflow() {
        assert_eq!(Graph::of(&[member("a", &[])], "a"), None);
    }

    #[test]
    fn a_long_layer_is_summed_up_and_shows_what_failed() {
        let mut members = vec![member("root", &[])];
        members.extend((0..100).map(|n| member(&format!("m{n}"), &["root"])));
        members[90].state = "FAILURE".to_owned();
        let graph = Graph::of(&members, "m99").unwrap();
        assert!(
            graph
                .drawing
                .0
                .contains(&format!("and {} more", 100 - (DRAWN - 1)))
        );
        assert!(graph.drawing.0.contains("m89: FAILURE"));
        assert!(graph.drawing.0.contains("m99: SUCCESS"));
    }

    #[test]
    fn names_from_outside_cannot_become_markup() {
        let mut evil = member("x\"><script>", &["a"]);
        evil.name = Some("<script>".to_owned());
        evil.state = "<b>".to_owned();
        let graph = Graph::of(&[member("a", &[]), evil], "a").unwrap();
        assert!(!graph.drawing.0.contains("<script>"));
        assert!(!graph.drawing.0.contains("<b>"));
    }

    proptest! {
        /// Whatever follows whatever, itself and circles included, is drawn.
        #[test]
        fn every_graph_is_drawn(edges in proptest::collection::vec((0_usize..30, 0_usize..30), 0..80)) {
            let mut members: Vec<_> = (0..30).map(|n| member(&n.to_string(), &[])).collect();
            for (from, to) in edges {
                members[to].after.push(from.to_string());
            }
            let graph = Graph::of(&members, "0").unwrap();
            prop_assert_eq!(graph.members.len(), 30);
            prop_assert!(graph.drawing.0.ends_with("</svg>"));
        }
    }
}
