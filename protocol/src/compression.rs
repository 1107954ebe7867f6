//! Body compression, with an output limit.
