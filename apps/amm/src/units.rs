//! Whole units: products in 128 bits, divisions that say which way they round.

use crate::refusal::WholeRefusal;

/// `a * b`. Two numbers of 64 bits have a product of 128: nothing wraps, and nothing is spent on
/// looking.
fn product(a: u64, b: u64) -> u128 {
    u128::from(a).wrapping_mul(u128::from(b))
}

/// `floor(a * b / c)`; none where `c` is zero.
pub fn mul_div_floor(a: u64, b: u64, c: u64) -> Option<u128> {
    product(a, b).checked_div(u128::from(c))
}

/// `ceil(a * b / c)`; none where `c` is zero.
pub fn mul_div_ceil(a: u64, b: u64, c: u64) -> Option<u128> {
    (c != 0).then(|| product(a, b).div_ceil(u128::from(c)))
}

/// `a * b < c * d`, exactly.
pub fn product_is_less(a: u64, b: u64, c: u64, d: u64) -> bool {
    product(a, b) < product(c, d)
}

/// The largest integer whose square is at most `a * b`. Below 2^64, since the product is below
/// 2^128.
pub fn sqrt_of_product(a: u64, b: u64) -> Result<u64, WholeRefusal> {
    u64::try_from(product(a, b).isqrt()).map_err(|_| WholeRefusal::Overflow)
}

/// `floor(amount * part / whole)` where `part` is at most `whole`, in 64 bits alone: a division of
/// 128 bits is dear where proofs run. None where `whole` is zero.
pub fn part_floor(amount: u64, part: u16, whole: u16) -> Option<u64> {
    let (part, whole) = (u64::from(part), u64::from(whole));
    let wholes = amount.checked_div(whole)?.checked_mul(part)?;
    let rest = amount.checked_rem(whole)?.checked_mul(part)?;
    wholes.checked_add(rest.checked_div(whole)?)
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
