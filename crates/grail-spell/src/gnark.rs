//! BN254 points as gnark and SP1 write them: big-endian coordinates, the imaginary part of `Fq2`
//! first.
//!
//! Proof points are foreign: each coordinate must be below the field's modulus, each point on its
//! curve and in its prime-order subgroup, and never the point at infinity. Key points come from
//! committed files and are read by the same rules, save that gnark compresses them.

use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ff::{BigInt, PrimeField as _};
use thiserror::Error;

use crate::groth16::{Key, Points};

/// Bytes of an uncompressed proof: A (G1), B (G2), C (G1).
pub(crate) const PROOF_BYTES: usize = 256;

const FLAG_MASK: u8 = 0b1100_0000;
const FLAG_SMALLEST: u8 = 0b1000_0000;
const FLAG_LARGEST: u8 = 0b1100_0000;

/// Why bytes are no point of BN254.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PointError {
    /// Not as many bytes as the encoding has.
    #[error("wrong number of bytes for a point encoding")]
    Length,
    /// A coordinate is not below the field's modulus.
    #[error("coordinate is not a field element")]
    NotInField,
    /// The coordinates do not satisfy the curve equation.
    #[error("point is not on the curve")]
    NotOnCurve,
    /// On the curve but outside the prime-order subgroup.
    #[error("point is not in the prime-order subgroup")]
    NotInSubgroup,
    /// A compressed point without a sign.
    #[error("unknown compression flag")]
    Flag,
}

/// Reads the 256 bytes of a proof.
pub(crate) fn read_proof(bytes: &[u8]) -> Result<Points<Bn254>, PointError> {
    let bytes: &[u8; PROOF_BYTES] = bytes.try_into().map_err(|_| PointError::Length)?;
    let (coordinates, _) = bytes.as_chunks::<32>();
    let [ax, ay, bx1, bx0, by1, by0, cx, cy] = coordinates else {
        return Err(PointError::Length);
    };
    Ok(Points {
        a: g1(field(ax)?, field(ay)?)?,
        b: g2(
            Fq2::new(field(bx0)?, field(bx1)?),
            Fq2::new(field(by0)?, field(by1)?),
        )?,
        c: g1(field(cx)?, field(cy)?)?,
    })
}

/// Reads gnark's compressed verification key. Layout: alpha, beta in G1 (unused), beta, gamma in
/// G2, delta in G1 (unused), delta in G2, the number of input points, and those.
pub(crate) fn read_verification_key(bytes: &[u8]) -> Result<Key<Bn254>, PointError> {
    let mut rest = bytes;
    let alpha = compressed_g1(take(&mut rest)?)?;
    let _beta_g1: &[u8; 32] = take(&mut rest)?;
    let beta = compressed_g2(take(&mut rest)?)?;
    let gamma = compressed_g2(take(&mut rest)?)?;
    let _delta_g1: &[u8; 32] = take(&mut rest)?;
    let delta = compressed_g2(take(&mut rest)?)?;
    let input_count = u32::from_be_bytes(*take(&mut rest)?);
    let input_points = (0..input_count)
        .map(|_| compressed_g1(take(&mut rest)?))
        .collect::<Result<Vec<_>, PointError>>()?;
    Ok(Key {
        alpha,
        beta,
        gamma,
        delta,
        input_points,
    })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], PointError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(PointError::Length)?;
    *rest = tail;
    Ok(head)
}

fn field(bytes: &[u8; 32]) -> Result<Fq, PointError> {
    let mut limbs = [0_u64; 4];
    let (words, _) = bytes.as_chunks::<8>();
    for (limb, word) in limbs.iter_mut().rev().zip(words) {
        *limb = u64::from_be_bytes(*word);
    }
    Fq::from_bigint(BigInt::new(limbs)).ok_or(PointError::NotInField)
}

// arkworks takes the coordinates (0, 0), which satisfy neither curve equation, for the point at
// infinity.

fn g1(x: Fq, y: Fq) -> Result<G1Affine, PointError> {
    let point = G1Affine::new_unchecked(x, y);
    let on_curve = !point.is_zero() && point.is_on_curve();
    check(
        on_curve,
        on_curve && point.is_in_correct_subgroup_assuming_on_curve(),
    )?;
    Ok(point)
}

fn g2(x: Fq2, y: Fq2) -> Result<G2Affine, PointError> {
    let point = G2Affine::new_unchecked(x, y);
    let on_curve = !point.is_zero() && point.is_on_curve();
    check(
        on_curve,
        on_curve && point.is_in_correct_subgroup_assuming_on_curve(),
    )?;
    Ok(point)
}

fn check(on_curve: bool, in_subgroup: bool) -> Result<(), PointError> {
    match (on_curve, in_subgroup) {
        (false, _) => Err(PointError::NotOnCurve),
        (true, false) => Err(PointError::NotInSubgroup),
        (true, true) => Ok(()),
    }
}

fn compressed_g1(bytes: &[u8; 32]) -> Result<G1Affine, PointError> {
    let (x, flag) = flagged_field(bytes)?;
    let (smallest, largest) = G1Affine::get_ys_from_x_unchecked(x).ok_or(PointError::NotOnCurve)?;
    g1(x, by_flag(flag, smallest, largest)?)
}

fn compressed_g2(bytes: &[u8; 64]) -> Result<G2Affine, PointError> {
    let mut rest = bytes.as_slice();
    let (x1, flag) = flagged_field(take(&mut rest)?)?;
    let x = Fq2::new(field(take(&mut rest)?)?, x1);
    let (smallest, largest) = G2Affine::get_ys_from_x_unchecked(x).ok_or(PointError::NotOnCurve)?;
    g2(x, by_flag(flag, smallest, largest)?)
}

fn flagged_field(bytes: &[u8; 32]) -> Result<(Fq, u8), PointError> {
    let mut bytes = *bytes;
    let flag = bytes[0] & FLAG_MASK;
    bytes[0] &= !FLAG_MASK;
    Ok((field(&bytes)?, flag))
}

fn by_flag<F>(flag: u8, smallest: F, largest: F) -> Result<F, PointError> {
    match flag {
        FLAG_SMALLEST => Ok(smallest),
        FLAG_LARGEST => Ok(largest),
        _ => Err(PointError::Flag),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ark_ff::{AdditiveGroup as _, BigInteger as _, Field as _};

    use super::*;

    const MODULUS: [u8; 32] = [
        0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58,
        0x5d, 0x97, 0x81, 0x6a, 0x91, 0x68, 0x71, 0xca, 0x8d, 0x3c, 0x20, 0x8c, 0x16, 0xd8, 0x7c,
        0xfd, 0x47,
    ];

    fn bytes(coordinate: Fq) -> Vec<u8> {
        coordinate.into_bigint().to_bytes_be()
    }

    /// The generators as proof points, with `change` applied to the bytes.
    fn proof(change: impl FnOnce(&mut Vec<u8>)) -> Result<Points<Bn254>, PointError> {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let coordinates = [g1.x, g1.y, g2.x.c1, g2.x.c0, g2.y.c1, g2.y.c0, g1.x, g1.y];
        let mut encoded: Vec<u8> = coordinates.into_iter().flat_map(bytes).collect();
        change(&mut encoded);
        read_proof(&encoded)
    }

    #[test]
    fn reads_the_generators() {
        let proof = proof(|_| {}).unwrap();
        assert_eq!(
            (proof.a, proof.b, proof.c),
            (G1Affine::generator(), G2Affine::generator(), proof.a)
        );
    }

    #[test]
    fn refuses_a_coordinate_that_is_not_reduced() {
        assert_eq!(bytes(-Fq::ONE)[31].wrapping_add(1), MODULUS[31]);
        for coordinate in 0..8 {
            let at = coordinate * 32;
            // The modulus itself, and the same point written with the modulus added.
            let zero = proof(|encoded| encoded[at..at + 32].copy_from_slice(&MODULUS));
            assert_eq!(zero, Err(PointError::NotInField), "coordinate {coordinate}");
        }
        let mut one = MODULUS;
        one[31] += 1;
        assert_eq!(
            proof(|encoded| encoded[..32].copy_from_slice(&one)),
            Err(PointError::NotInField)
        );
    }

    #[test]
    fn refuses_points_off_the_curve_and_at_infinity() {
        for coordinate in 0..8 {
            let flipped = proof(|encoded| encoded[coordinate * 32 + 31] ^= 1);
            assert_eq!(
                flipped,
                Err(PointError::NotOnCurve),
                "coordinate {coordinate}"
            );
        }
        for point in [0..64, 64..192, 192..256] {
            assert_eq!(
                proof(|encoded| encoded[point].fill(0)),
                Err(PointError::NotOnCurve)
            );
        }
    }

    #[test]
    fn refuses_points_outside_the_subgroup() {
        // Most points of the twist are outside: take the first with a small abscissa.
        let (x, y) = (1_u64..)
            .map(|x| Fq2::new(Fq::from(x), Fq::ZERO))
            .find_map(|x| G2Affine::get_ys_from_x_unchecked(x).map(|(y, _)| (x, y)))
            .unwrap();
        let outside: Vec<u8> = [x.c1, x.c0, y.c1, y.c0]
            .into_iter()
            .flat_map(bytes)
            .collect();
        let read = proof(|encoded| encoded[64..192].copy_from_slice(&outside));
        assert_eq!(read, Err(PointError::NotInSubgroup));
    }

    #[test]
    fn refuses_another_length() {
        assert_eq!(proof(|encoded| encoded.push(0)), Err(PointError::Length));
        assert_eq!(
            proof(|encoded| encoded.truncate(255)),
            Err(PointError::Length)
        );
        assert_eq!(read_proof(&[]), Err(PointError::Length));
    }

    #[test]
    fn refuses_a_key_without_a_flag_or_an_end() {
        let key = include_bytes!("../vk/v14.bin");
        assert_eq!(read_verification_key(key).unwrap().input_points.len(), 6);
        for flag in [0b0000_0000, 0b0100_0000] {
            let mut unflagged = *key;
            unflagged[0] = unflagged[0] & !FLAG_MASK | flag;
            assert_eq!(read_verification_key(&unflagged), Err(PointError::Flag));
        }
        // What follows the input points is about commitments, of which SP1's circuits have none.
        for length in 0..key.len() - 8 {
            assert_eq!(
                read_verification_key(&key[..length]),
                Err(PointError::Length),
                "{length}"
            );
        }
    }

    #[test]
    fn the_flag_chooses_the_sign() {
        let key = include_bytes!("../vk/v14.bin");
        let mut flipped = *key;
        for start in [0, 64] {
            flipped[start] ^= FLAG_SMALLEST ^ FLAG_LARGEST;
        }
        let (key, flipped) = (
            read_verification_key(key).unwrap(),
            read_verification_key(&flipped).unwrap(),
        );
        assert_eq!((flipped.alpha, flipped.beta), (-key.alpha, -key.beta));
        assert_eq!(flipped.gamma, key.gamma);
    }
}
