//! Beat: sends the tasks of schedule entries when their ticks are due.

mod book;
mod plan;
