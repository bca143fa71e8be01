//! Values to columns and back: checked on the way in, parsed on the way out.

use bitcoin::{Amount, BlockHash, OutPoint};
use grail_flow::{BlockRef, SettlementId};
use grail_types::SUPPLY_MAX_SAT;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;

use crate::{PAGE_ROWS_MAX, StoreError, db::DbRow, form::read_json};

/// Largest integer of a column.
const INTEGER_MAX: u64 = i64::MAX as u64;

/// An integer that fits a column.
pub(crate) fn integer(what: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::OutOfRange {
        what,
        max: INTEGER_MAX,
        got: value,
    })
}

/// An amount of money that can exist.
pub(crate) fn sat(what: &'static str, amount: Amount) -> Result<i64, StoreError> {
    let got = amount.to_sat();
    if got > SUPPLY_MAX_SAT {
        return Err(StoreError::OutOfRange {
            what,
            max: SUPPLY_MAX_SAT,
            got,
        });
    }
    integer(what, got)
}

/// Refuses a list, text or byte string that is longer than `max`.
pub(crate) fn at_most(what: &'static str, got: usize, max: usize) -> Result<(), StoreError> {
    if got > max {
        return Err(StoreError::OutOfRange {
            what,
            max: max as u64,
            got: got as u64,
        });
    }
    Ok(())
}

/// The limit of a page.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_ROWS_MAX))
}

/// A place to read on from; beyond the last column value there is nothing.
pub(crate) fn after(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// Foreign text as a column may hold it: cut to `chars_max`, and without NUL (which PostgreSQL
/// refuses) or other control characters (which forge lines of logs).
pub(crate) fn printable(text: &str, chars_max: usize) -> String {
    text.chars()
        .take(chars_max)
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

/// A condition that a column has none of these names. Spelled as a chain of `<>`: an index whose
/// own condition reads so is found by the database.
pub(crate) fn is_none_of(column: &str, names: impl IntoIterator<Item = &'static str>) -> String {
    let terms: Vec<_> = names
        .into_iter()
        .map(|name| format!("{column} <> '{name}'"))
        .collect();
    terms.join(" AND ")
}

/// Names of a closed set as a list of SQL literals. They are this program's own constants, never
/// foreign text, so there is nothing to escape.
pub(crate) fn listed(names: impl IntoIterator<Item = &'static str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// Typed reading of a row.
pub(crate) trait Columns {
    fn text(&self, name: &'static str) -> Result<String, StoreError>;
    fn maybe_text(&self, name: &'static str) -> Result<Option<String>, StoreError>;
    fn maybe_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError>;
    fn maybe_u64(&self, name: &'static str) -> Result<Option<u64>, StoreError>;

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.maybe_bytes(name)?.ok_or_else(|| missing(name))
    }

    fn u64(&self, name: &'static str) -> Result<u64, StoreError> {
        self.maybe_u64(name)?.ok_or_else(|| missing(name))
    }

    fn u32(&self, name: &'static str) -> Result<u32, StoreError> {
        self.u64(name)?
            .try_into()
            .map_err(|error| StoreError::corrupt(name, error))
    }

    fn maybe_amount(&self, name: &'static str) -> Result<Option<Amount>, StoreError> {
        Ok(self.maybe_u64(name)?.map(Amount::from_sat))
    }

    fn amount(&self, name: &'static str) -> Result<Amount, StoreError> {
        Ok(Amount::from_sat(self.u64(name)?))
    }

    fn settlement_id(&self, name: &'static str) -> Result<SettlementId, StoreError> {
        Ok(SettlementId(self.u64(name)?))
    }

    fn parsed<T>(&self, name: &'static str) -> Result<T, StoreError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        parse(name, &self.text(name)?)
    }

    fn maybe_parsed<T>(&self, name: &'static str) -> Result<Option<T>, StoreError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.maybe_text(name)?
            .map(|text| parse(name, &text))
            .transpose()
    }

    fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(name)?).map_err(|error| StoreError::corrupt(name, error))
    }

    /// A domain value that carries its version.
    fn versioned<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, StoreError> {
        read_json(name, &self.text(name)?)
    }

    /// A block in two columns, both there or neither.
    fn maybe_block(
        &self,
        height: &'static str,
        hash: &'static str,
    ) -> Result<Option<BlockRef>, StoreError> {
        let at = self.maybe_u64(height)?;
        let hash = self.maybe_parsed::<BlockHash>(hash)?;
        match (at, hash) {
            (None, None) => Ok(None),
            (Some(at), Some(hash)) => Ok(Some(BlockRef {
                height: at
                    .try_into()
                    .map_err(|error| StoreError::corrupt(height, error))?,
                hash,
            })),
            _ => Err(StoreError::corrupt(
                height,
                "height without hash or hash without height",
            )),
        }
    }

    fn outpoint(&self, name: &'static str) -> Result<OutPoint, StoreError> {
        self.parsed(name)
    }
}

impl Columns for DbRow {
    fn text(&self, name: &'static str) -> Result<String, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_text(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_u64(&self, name: &'static str) -> Result<Option<u64>, StoreError> {
        self.try_get::<Option<i64>, _>(name)?
            .map(|value| u64::try_from(value).map_err(|error| StoreError::corrupt(name, error)))
            .transpose()
    }
}

fn parse<T>(name: &'static str, text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse()
        .map_err(|error| StoreError::corrupt(name, error))
}

fn missing(name: &'static str) -> StoreError {
    StoreError::corrupt(name, "is null")
}
