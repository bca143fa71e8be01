//! Blocking client of the API.
