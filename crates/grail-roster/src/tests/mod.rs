//! Each rule with what it refuses.

mod clones;
mod entries;
mod nodes;
mod votes;
