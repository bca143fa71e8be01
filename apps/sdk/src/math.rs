//! Products and quotients that do not overflow on the way.

/// `value * numerator / denominator`, rounded down; none if the denominator is zero or the result
/// above 64 bits.
#[must_use]
pub fn mul_div_floor(value: u64, numerator: u64, denominator: u64) -> Option<u64> {
    let product = u128::from(value).checked_mul(u128::from(numerator))?;
    u64::try_from(product.checked_div(u128::from(denominator))?).ok()
}

/// `value * numerator / denominator`, rounded up; none if the denominator is zero or the result
/// above 64 bits.
#[must_use]
pub fn mul_div_ceil(value: u64, numerator: u64, denominator: u64) -> Option<u64> {
    let product = u128::from(value).checked_mul(u128::from(numerator))?;
    if denominator == 0 {
        return None;
    }
    u64::try_from(product.div_ceil(u128::from(denominator))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_beyond_64_bits_are_divided_exactly() {
        let most = u64::MAX;
        assert_eq!(mul_div_floor(most, most, most), Some(most));
        assert_eq!(mul_div_ceil(most, most, most), Some(most));
        assert_eq!(mul_div_floor(most, 3, 4), Some(most / 4 * 3 + 2));
        assert_eq!(mul_div_ceil(most, 3, 4), Some(most / 4 * 3 + 3));
        assert_eq!(mul_div_floor(7, 1, 2), Some(3));
        assert_eq!(mul_div_ceil(7, 1, 2), Some(4));
        assert_eq!(mul_div_ceil(8, 1, 2), Some(4));
        assert_eq!(mul_div_ceil(0, 1, 2), Some(0));
    }

    #[test]
    fn refuses_results_beyond_64_bits_and_division_by_zero() {
        assert_eq!(mul_div_floor(u64::MAX, 2, 1), None);
        assert_eq!(mul_div_ceil(u64::MAX, 2, 1), None);
        assert_eq!(mul_div_floor(1, 1, 0), None);
        assert_eq!(mul_div_ceil(1, 1, 0), None);
    }
}
