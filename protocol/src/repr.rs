//! Arguments as Python shows them.
