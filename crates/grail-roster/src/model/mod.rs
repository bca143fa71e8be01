//! Models that explore every order of events at small sizes, by the crate's own code.
//!
//! Each has mutants: the same model with one rule taken away must yield a counterexample, or the
//! model could not have found anything.

mod height;
mod slot;
