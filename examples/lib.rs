//! Examples of celeriac; each file beside this one is a program.
