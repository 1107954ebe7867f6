//! Python's JSON.
