//! Every magic name.
