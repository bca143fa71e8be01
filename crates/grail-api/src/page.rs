//! Lists in pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Problem, ProblemCode};

/// Items of a page when nothing is asked for.
pub const LIMIT_DEFAULT: u16 = 50;
/// Most items of a page.
pub const LIMIT_MAX: u16 = 200;

/// Which part of a list. Lists are newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before; absent for the first.
    pub after: Option<String>,
    /// Items wanted, 1 to 200; 50 when absent.
    pub limit: Option<u16>,
}

impl PageQuery {
    /// How many items to answer with.
    pub fn limit(&self) -> Result<u16, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::new(
                ProblemCode::BadQuery,
                format!("expected a limit of 1 to {LIMIT_MAX}, got {limit}"),
            ))
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// `after` of the next page; absent on the last.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_are_one_to_the_maximum() {
        let limit = |limit| PageQuery { after: None, limit }.limit();
        assert_eq!(limit(None), Ok(LIMIT_DEFAULT));
        assert_eq!(limit(Some(1)), Ok(1));
        assert_eq!(limit(Some(LIMIT_MAX)), Ok(LIMIT_MAX));
        for wrong in [0, LIMIT_MAX + 1, u16::MAX] {
            assert_eq!(limit(Some(wrong)).unwrap_err().code, ProblemCode::BadQuery);
        }
    }
}
