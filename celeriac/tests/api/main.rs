//! Tests of the crate as its users see it.
#![allow(clippy::unwrap_used)]

mod control;
mod deadlines;
mod events;
mod fixtures;
mod golden_calls;
mod golden_canvas;
mod result_sets;
mod results;
mod task_macro;
