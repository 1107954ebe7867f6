//! The Kubernetes manifests: rendered, decoded strictly, compared with each other and with the
//! binary, and given to what validates manifests elsewhere.
//!
//! `checks` has what no validator sees; `faults` proves on seeded faults that each is seen.
#![allow(clippy::unwrap_used, reason = "a test says by panicking")]

mod checks;
mod compose;
mod decode;
mod document;
mod drift;
mod faults;
mod finding;
mod kinds;
mod kustomization;
mod manifests;
mod patches;
mod pod;
mod policy;
mod renderings;
mod rules;
mod schema;
mod services;
mod tools;
mod tree;
mod validate;
