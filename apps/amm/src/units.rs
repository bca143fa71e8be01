//! Whole units: products in 128 bits, divisions that say which way they round.

use crate::refusal::WholeRefusal;

/// `floor(a * b / c)`; none where `c` is zero. A product of two 64-bit numbers never leaves 128 bits.
pub fn mul_div_floor(a: u64, b: u64, c: u64) -> Option<u128> {
    u128::from(a)
        .checked_mul(u128::from(b))?
        .checked_div(u128::from(c))
}

/// `ceil(a * b / c)`; none where `c` is zero.
pub fn mul_div_ceil(a: u64, b: u64, c: u64) -> Option<u128> {
    let product = u128::from(a).checked_mul(u128::from(b))?;
    (c != 0).then(|| product.div_ceil(u128::from(c)))
}

/// `a * b < c * d`, exactly.
pub fn product_is_less(a: u64, b: u64, c: u64, d: u64) -> bool {
    // `u128` holds any product of two `u64`: nothing wraps.
    u128::from(a).wrapping_mul(u128::from(b)) < u128::from(c).wrapping_mul(u128::from(d))
}

/// The largest integer whose square is at most `a * b`. Below 2^64, since the product is below 2^128.
pub fn sqrt_of_product(a: u64, b: u64) -> Result<u64, WholeRefusal> {
    let product = u128::from(a).checked_mul(u128::from(b));
    let root = product.ok_or(WholeRefusal::Overflow)?.isqrt();
    u64::try_from(root).map_err(|_| WholeRefusal::Overflow)
}

/// A result back in 64 bits.
pub fn narrow(value: Option<u128>) -> Result<u64, WholeRefusal> {
    value
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(WholeRefusal::Overflow)
}

/// `a + b`, refused beyond 64 bits.
pub fn sum(a: u64, b: u64) -> Result<u64, WholeRefusal> {
    a.checked_add(b).ok_or(WholeRefusal::Overflow)
}

/// `a - b`, refused below zero.
pub fn less(a: u64, b: u64) -> Result<u64, WholeRefusal> {
    a.checked_sub(b).ok_or(WholeRefusal::Overflow)
}
