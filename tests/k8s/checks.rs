//! What no validator sees: pure functions of the decoded objects of one rendering.

mod addresses;
mod autoscaling;
mod containers;
mod disruption;
pub(crate) mod environment;
mod images;
mod keda;
mod life_cycle;
mod names;
mod network;
mod policies;
mod ports;
mod probes;
mod quantity;
mod references;
mod resources;
mod rights;
mod rollout;
mod security;
mod selectors;
mod volumes;

use crate::finding::{Finding, assert_none};
use crate::manifests::Manifests;
use crate::renderings;

pub(crate) use keda::asked_paths as keda_paths;
pub(crate) use ports::monitored_paths;
pub(crate) use volumes::texts;

type Check = fn(&Manifests) -> Vec<Finding>;

/// Every check; a finding carries the check's name.
const ALL: &[Check] = &[
    addresses::check,
    autoscaling::check,
    containers::check,
    disruption::check,
    environment::check,
    images::check,
    keda::check,
    life_cycle::check,
    names::check,
    network::check,
    ports::check,
    probes::check,
    references::check,
    resources::check,
    rights::check,
    rollout::check,
    security::check,
    selectors::check,
    volumes::check,
];

/// Returns what every check finds.
pub(crate) fn all(manifests: &Manifests) -> Vec<Finding> {
    ALL.iter().flat_map(|check| check(manifests)).collect()
}

#[test]
fn every_rendering_decodes_strictly() {
    let found = renderings::all().iter().flat_map(|rendering| {
        let undecoded = rendering.manifests.undecoded().into_iter();
        undecoded.map(|finding| (rendering.name.clone(), finding))
    });
    assert_none(found.collect(), "objects that are not what their kind says");
}

#[test]
fn every_rendering_fits_together() {
    let found = renderings::all().iter().flat_map(|rendering| {
        let found = all(&rendering.manifests).into_iter();
        found.map(|finding| (rendering.name.clone(), finding))
    });
    assert_none(found.collect(), "objects that do not fit together");
}
