//! What bounds a rotation and what leaves before it, as models: the rules that hold (ADR 24), and
//! beside each the obvious one that does not, with the history that shows it.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod chain;
mod notice;
mod outflow;
mod room;
