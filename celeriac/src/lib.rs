//! celeriac
