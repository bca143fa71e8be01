//! A token of fixed supply: `m` says what it is, `f` is what is owned.
//!
//! Owns the rules T1 to T14 of `docs/spec/token.md`. The whole supply is made at birth; afterwards
//! what goes in comes out. Neither tag is one that Charms moves by itself, so each move runs this
//! contract and looks one transaction back (ADR 5).

mod metadata;
mod rules;

pub use metadata::{
    DECIMALS_MAX, METADATA_FORMAT, Metadata, MetadataError, NAME_BYTES_MAX, TICKER_BYTES_MAX,
};
pub use rules::{METADATA_TAG, TOKEN_TAG, Violation, judge};
