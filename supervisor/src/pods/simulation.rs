//! Fleets of a thousand pods, simulated: how often the API server is asked.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::keeper::{LOOK, TOLD, wants_list};
use super::ledger::Ledger;
use super::loss::{Loss, Step};
use super::pod::Pod;

const PODS: usize = 1_000;
/// How many pods a page of a list has.
const PAGE: usize = 500;
const MINUTE: u64 = 60;

/// What the API server was asked in each minute.
struct Asked {
    lists: Vec<usize>,
    patches: Vec<usize>,
    /// The costs that the cluster has at the end.
    costs: BTreeMap<String, i32>,
}

impl Asked {
    fn most(&self) -> usize {
        let each = self.lists.iter().zip(&self.patches);
        each.map(|(lists, patches)| lists + patches).max().unwrap()
    }

    fn mean(&self) -> usize {
        let all = self.lists.iter().chain(&self.patches).sum::<usize>();
        all / self.lists.len()
    }
}

/// Lets a fleet work for so many minutes; `loss` says what a pod would lose at a second.
fn simulate(minutes: u64, mut loss: impl FnMut(usize, u64) -> Loss) -> Asked {
    let names: Vec<_> = (0..PODS)
        .map(|number| format!("node-{number:04}"))
        .collect();
    let mut asked = Asked {
        lists: vec![0; minutes as usize],
        patches: vec![0; minutes as usize],
        costs: BTreeMap::new(),
    };
    let start = Instant::now();
    let (mut ledger, mut listed) = (Ledger::default(), None);
    let looks = (0..minutes * MINUTE).step_by(LOOK.as_secs() as usize);
    for second in looks {
        let (now, minute) = (
            start + Duration::from_secs(second),
            (second / MINUTE) as usize,
        );
        let said = names.iter().enumerate();
        let losses: HashMap<_, _> = said
            .map(|(number, name)| (name.clone(), loss(number, second)))
            .collect();
        let age = listed.map(|at| now.saturating_duration_since(at));
        if wants_list(age, ledger.lacks(&losses)) {
            listed = Some(now);
            asked.lists[minute] += PODS.div_ceil(PAGE);
            let pods = names.iter().map(|name| Pod {
                name: name.clone(),
                uid: name.clone(),
                cost: asked.costs.get(name).copied(),
                ..Pod::default()
            });
            ledger.list(pods.collect());
        }
        for change in ledger.plan(&losses, now, TOLD) {
            asked.patches[minute] += 1;
            asked.costs.insert(change.pod.clone(), change.step.cost());
            ledger.told(&change);
        }
    }
    asked
}

fn running(tasks: u64, invested: u64) -> Loss {
    Loss {
        leaving: false,
        running: tasks,
        invested,
    }
}

fn random(number: usize, second: u64) -> u64 {
    let mut x = (number as u64) << 32 | second;
    for _ in 0..3 {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
    }
    x >> 16
}

// S56: at most 300 patches and 4 lists a minute, two pages each, whatever the fleet does.
#[test]
fn a_thousand_pods_cost_the_api_server_few_calls() {
    let most = 60 / LOOK.as_secs() as usize * TOLD + 4 * PODS.div_ceil(PAGE);
    type Work = Box<dyn FnMut(usize, u64) -> Loss>;
    let kinds: [(&str, Work); 4] = [
        ("idle", Box::new(|_, _| running(0, 0))),
        (
            "tasks of a second, always busy",
            Box::new(|number, second| running(8, 2 + random(number, second) % 5)),
        ),
        (
            "tasks of a second, now and then",
            Box::new(|number, second| running(random(number, second) % 4 / 3, 0)),
        ),
        (
            "tasks of up to an hour",
            Box::new(|number, second| {
                let length = 600 + random(number, 0) % 3_000;
                running(4, 4 * ((second + random(number, 1) % length) % length))
            }),
        ),
    ];
    for (kind, loss) in kinds {
        let asked = simulate(60, loss);
        let settled = asked.lists[10..].iter().zip(&asked.patches[10..]);
        let settled = settled
            .map(|(lists, patches)| lists + patches)
            .max()
            .unwrap();
        println!(
            "{PODS} pods, {kind}: {} calls a minute at most, {} on average, {settled} at most \
             after ten minutes",
            asked.most(),
            asked.mean()
        );
        assert!(asked.most() <= most, "{kind}: {}", asked.most());
        assert_eq!(
            asked.lists.iter().max(),
            Some(&4),
            "{kind}: two lists a minute, of two pages"
        );
        if kind == "idle" {
            assert_eq!(asked.most(), 4);
        }
        if kind == "tasks of a second, always busy" {
            assert!(settled <= 4 + 60, "{settled}");
        }
    }
}

// S56: when most of a busy fleet turns idle, those that are still busy cost more at once than
// any that turned, and all that turned are told within six minutes.
#[test]
fn a_fleet_that_turns_idle_is_told_of() {
    let busy = |number: usize| number.is_multiple_of(10);
    let work = |number: usize, second: u64| match second {
        1_200.. if !busy(number) => running(0, 0),
        _ => running(1, second + number as u64),
    };
    let asked = simulate(26, work);
    let last = 26 * MINUTE - LOOK.as_secs();
    for (number, (_, cost)) in asked.costs.iter().enumerate() {
        let expected = Step::of(work(number, last)).cost();
        assert_eq!(*cost, expected, "{number}");
    }
    assert_eq!(asked.costs.len(), PODS);
}
