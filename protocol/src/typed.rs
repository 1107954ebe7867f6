//! Typed JSON values of kombu.
