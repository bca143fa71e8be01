//! Whether anybody can ever spend a taproot output, by its key.

use bitcoin::{Script, XOnlyPublicKey};
use grail_script::nums_key;

/// Why what lies at a taproot output can provably never be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unspendable {
    /// Every spend begins with lifting the key to a point.
    #[error("its key is no point of the curve")]
    OffCurve,
    /// BIP-341's NUMS point: no key path, and no script that it commits to.
    #[error("its key is the one that nobody has")]
    NobodysKey,
}

/// The output key of a taproot output (BIP-341: the 32 bytes after the version); `None` of an
/// output of another type, which has none.
pub fn output_key(script: &Script) -> Result<Option<XOnlyPublicKey>, Unspendable> {
    let Some(bytes) = script.as_bytes().get(2..).filter(|_| script.is_p2tr()) else {
        return Ok(None);
    };
    match XOnlyPublicKey::from_slice(bytes) {
        Err(_) => Err(Unspendable::OffCurve),
        Ok(key) if key == nums_key() => Err(Unspendable::NobodysKey),
        Ok(key) => Ok(Some(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: [u8; 32]) -> Result<Option<XOnlyPublicKey>, Unspendable> {
        let mut script = vec![0x51, 0x20];
        script.extend(key);
        output_key(Script::from_bytes(&script))
    }

    #[test]
    fn a_key_on_the_curve_is_lifted() {
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(of(one), Ok(XOnlyPublicKey::from_slice(&one).ok()));
    }

    #[test]
    fn a_key_off_the_curve_opens_by_nothing() {
        // BIP-340, "public key not on the curve".
        let off_curve = [
            0xee, 0xfd, 0xea, 0x4c, 0xdb, 0x67, 0x77, 0x50, 0xa4, 0x20, 0xfe, 0xe8, 0x07, 0xea,
            0xcf, 0x21, 0xeb, 0x98, 0x98, 0xae, 0x79, 0xb9, 0x76, 0x87, 0x66, 0xe4, 0xfa, 0xa0,
            0x4a, 0x2d, 0x4a, 0x34,
        ];
        for key in [off_curve, [0; 32], [0xff; 32]] {
            assert_eq!(of(key), Err(Unspendable::OffCurve));
        }
    }

    #[test]
    fn the_key_that_nobody_has_opens_by_nothing() {
        assert_eq!(of(nums_key().serialize()), Err(Unspendable::NobodysKey));
    }

    #[test]
    fn outputs_of_other_types_have_no_output_key() {
        let mut p2wsh = vec![0x00, 0x20];
        p2wsh.extend([0xff; 32]);
        let mut longer = vec![0x51, 0x21];
        longer.extend([0xff; 33]);
        for script in [Vec::new(), p2wsh, longer] {
            assert_eq!(output_key(Script::from_bytes(&script)), Ok(None));
        }
    }
}
