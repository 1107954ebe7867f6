//! Every rendering: the base, each overlay, and each combination of components that makes sense.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::thread;

use crate::document::Document;
use crate::manifests::Manifests;
use crate::tree::Tree;

/// Components of which a deployment takes one or none.
const ALTERNATIVES: &[&[&str]] = &[
    &[
        "components/rabbitmq-cluster",
        "components/rabbitmq-dev",
        "components/rabbitmq-operator",
    ],
    &["components/hpa", "components/keda"],
];

/// One rendering.
#[derive(Debug)]
pub(crate) struct Rendering {
    /// The folder below `k8s`; combinations have names of their own.
    pub(crate) name: String,
    pub(crate) manifests: Manifests,
}

/// Returns every rendering, made once.
pub(crate) fn all() -> &'static [Rendering] {
    static RENDERINGS: OnceLock<Vec<Rendering>> = OnceLock::new();
    RENDERINGS.get_or_init(render)
}

/// Returns each object once, with the first rendering that has it; many have the same.
pub(crate) fn distinct() -> Vec<(&'static str, &'static Document)> {
    let mut found = BTreeMap::new();
    for rendering in all() {
        for document in &rendering.manifests.documents {
            let text = document.value.to_string();
            found
                .entry((&document.title, text))
                .or_insert((rendering.name.as_str(), document));
        }
    }
    found.into_values().collect()
}

/// Returns one rendering.
pub(crate) fn get(name: &str) -> &'static Rendering {
    all()
        .iter()
        .find(|rendering| rendering.name == name)
        .unwrap_or_else(|| panic!("expected a rendering of k8s/{name}, found none"))
}

fn render() -> Vec<Rendering> {
    let tree = Tree::copy();
    let mut folders = tree.of_kind("overlays");
    // The base has no namespace of its own.
    folders.push(tree.combine(&[]));
    let components = tree.of_kind("components");
    let combinations = combinations(&components);
    folders.extend(
        combinations
            .iter()
            .map(|components| tree.combine(components)),
    );
    let rendered = each(&folders, |folder| tree.render(folder));
    let mut complaints = Vec::new();
    let mut renderings = Vec::new();
    for (name, yaml) in folders.into_iter().zip(rendered) {
        match yaml {
            Ok(yaml) => renderings.push(Rendering {
                name,
                manifests: Manifests::parse(&yaml),
            }),
            Err(complaint) => complaints.push(complaint),
        }
    }
    assert!(
        complaints.is_empty(),
        "expected every overlay and combination of components to render:\n{}",
        complaints.join("\n")
    );
    renderings
}

/// Works on every item with as many threads as there are cores.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let share = items.len().div_ceil(cores).max(1);
    let work = &work;
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<_>>()))
            .collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.flatten().collect()
    })
}

/// Returns each component, each pair, and the largest sets, of what goes together.
fn combinations(components: &[String]) -> Vec<Vec<&str>> {
    let names: Vec<&str> = components.iter().map(String::as_str).collect();
    let mut sets: Vec<Vec<&str>> = names.iter().map(|one| vec![*one]).collect();
    for (index, one) in names.iter().enumerate() {
        let later = names[index + 1..]
            .iter()
            .filter(|other| !rivals(one, other));
        sets.extend(later.map(|other| vec![*one, *other]));
    }
    sets.extend(largest(&names));
    sets.sort();
    sets.dedup();
    sets
}

fn rivals(one: &str, other: &str) -> bool {
    let mut lists = ALTERNATIVES.iter();
    lists.any(|list| one != other && list.contains(&one) && list.contains(&other))
}

/// Returns every set that nothing can be added to.
fn largest<'a>(names: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut sets = vec![names.to_vec()];
    for list in ALTERNATIVES {
        let present: Vec<_> = list.iter().filter(|one| names.contains(one)).collect();
        if present.len() < 2 {
            continue;
        }
        let kept = |set: &[&'a str], chosen: &str| {
            let set = set.iter().copied();
            set.filter(|one| *one == chosen || !list.contains(one))
                .collect()
        };
        sets = sets
            .iter()
            .flat_map(|set| present.iter().map(move |chosen| kept(set, chosen)))
            .collect();
    }
    sets
}

#[test]
fn alternatives_never_come_together() {
    let names = ["hpa", "ingress", "keda", "redis"].map(|name| format!("components/{name}"));
    let found = combinations(&names);
    let both = |set: &[&str]| set.contains(&"components/hpa") && set.contains(&"components/keda");
    assert!(!found.iter().any(|set| both(set)), "{found:?}");
    // Four alone, five pairs, and three with each of the two.
    assert_eq!(found.len(), 11, "{found:?}");
}
