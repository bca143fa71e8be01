//! BN254 points as gnark and SP1 write them: big-endian coordinates, the imaginary part of `Fq2` first.
//!
//! Proof points are foreign: each coordinate must be below the field's modulus, each point on its curve and in its
//! prime-order subgroup, and never the point at infinity. Key points come from committed files and are read by the
//! same rules, save that gnark compresses them.

use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ff::{BigInt, PrimeField as _};
use ark_groth16::{Proof, VerifyingKey};
use thiserror::Error;

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
pub(crate) fn read_proof(bytes: &[u8]) -> Result<Proof<Bn254>, PointError> {
    let bytes: &[u8; PROOF_BYTES] = bytes.try_into().map_err(|_| PointError::Length)?;
    let (coordinates, _) = bytes.as_chunks::<32>();
    let [ax, ay, bx1, bx0, by1, by0, cx, cy] = coordinates else {
        return Err(PointError::Length);
    };
    Ok(Proof {
        a: g1(field(ax)?, field(ay)?)?,
        b: g2(
            Fq2::new(field(bx0)?, field(bx1)?),
            Fq2::new(field(by0)?, field(by1)?),
        )?,
        c: g1(field(cx)?, field(cy)?)?,
    })
}

/// Reads gnark's compressed verification key. Layout: alpha, beta in G1 (unused), beta, gamma in G2, delta in G1 (unused),
/// delta in G2, the number of input points, and those.
pub(crate) fn read_verification_key(bytes: &[u8]) -> Result<VerifyingKey<Bn254>, PointError> {
    let mut rest = bytes;
    let alpha_g1 = compressed_g1(take(&mut rest)?)?;
    let _beta_g1: &[u8; 32] = take(&mut rest)?;
    let beta_g2 = compressed_g2(take(&mut rest)?)?;
    let gamma_g2 = compressed_g2(take(&mut rest)?)?;
    let _delta_g1: &[u8; 32] = take(&mut rest)?;
    let delta_g2 = compressed_g2(take(&mut rest)?)?;
    let input_count = u32::from_be_bytes(*take(&mut rest)?);
    let gamma_abc_g1 = (0..input_count)
        .map(|_| compressed_g1(take(&mut rest)?))
        .collect::<Result<Vec<_>, PointError>>()?;
    Ok(VerifyingKey {
        alpha_g1,
        beta_g2,
        gamma_g2,
        delta_g2,
        gamma_abc_g1,
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

fn g1(x: Fq, y: Fq) -> Result<G1Affine, PointError> {
    let point = G1Affine::new_unchecked(x, y);
    check(
        point.is_on_curve(),
        point.is_in_correct_subgroup_assuming_on_curve(),
    )?;
    Ok(point)
}

fn g2(x: Fq2, y: Fq2) -> Result<G2Affine, PointError> {
    let point = G2Affine::new_unchecked(x, y);
    // The subgroup test is defined for points on the curve only.
    let on_curve = point.is_on_curve();
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
