//! What a pool's config says about its prices, within bounds.

use std::fmt;

/// How the price of a clearing follows from its orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Weight {
    /// Constant product at one price. An order beside a victim's pays: for pools that say so.
    One,
    /// The pool's own price after the clearing (Canidio and Fritsch, AFT 2023, arXiv 2307.02074).
    #[default]
    Two,
}

impl Weight {
    /// 1 or 2, as in the formula.
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

impl TryFrom<u8> for Weight {
    type Error = TermsError;

    fn try_from(number: u8) -> Result<Self, TermsError> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(TermsError::Weight(number)),
        }
    }
}

/// Fee, weight and spacing of a pool. Fixed at its birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    fee_bps: u16,
    weight: Weight,
    spacing: u8,
}

/// Why terms are out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermsError {
    /// A fee above [`Terms::FEE_MAX_BPS`].
    Fee(u16),
    /// A weight that is neither 1 nor 2.
    Weight(u8),
    /// A spacing above [`Terms::SPACING_MAX`].
    Spacing(u8),
}

impl TermsError {
    /// Stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fee(_) => "amm-fee",
            Self::Weight(_) => "amm-weight",
            Self::Spacing(_) => "amm-spacing",
        }
    }
}

impl Terms {
    /// Basis points in a whole.
    pub const BASIS: u16 = 10_000;
    /// A tenth: above it a fee is a trap.
    pub const FEE_MAX_BPS: u16 = 1_000;
    /// So that an order of the shortest delay, 144 blocks less a margin of 36, still meets three
    /// clearings.
    pub const SPACING_MAX: u8 = 36;

    /// Terms within bounds.
    pub fn new(fee_bps: u16, weight: Weight, spacing: u8) -> Result<Self, TermsError> {
        if fee_bps > Self::FEE_MAX_BPS {
            return Err(TermsError::Fee(fee_bps));
        }
        if spacing > Self::SPACING_MAX {
            return Err(TermsError::Spacing(spacing));
        }
        Ok(Self {
            fee_bps,
            weight,
            spacing,
        })
    }

    /// What stays with the pool of every swap, in basis points of what is given.
    pub const fn fee_bps(self) -> u16 {
        self.fee_bps
    }

    /// How the price follows from the orders.
    pub const fn weight(self) -> Weight {
        self.weight
    }

    /// Blocks that the pool's coin must have lain before the next clearing.
    pub const fn spacing(self) -> u8 {
        self.spacing
    }
}

impl Default for Terms {
    /// 30 basis points, the pool's own price after the clearing, one clearing a block.
    fn default() -> Self {
        Self {
            fee_bps: 30,
            weight: Weight::Two,
            spacing: 1,
        }
    }
}

impl fmt::Display for TermsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fee(got) => write!(out, "expected at most 1000 basis points of fee, got {got}"),
            Self::Weight(got) => write!(out, "expected a weight of 1 or 2, got {got}"),
            Self::Spacing(got) => write!(out, "expected a spacing of at most 36, got {got}"),
        }
    }
}

impl std::error::Error for TermsError {}
