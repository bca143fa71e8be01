//! Changes of a proof: of its points as points of BN254, of what stands before them, of its length,
//! and other proofs.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{AdditiveGroup as _, BigInteger as _, PrimeField};
use bitcoin::Transaction;

use super::Base;

/// Bytes of the three points: A (G1), B (G2), C (G1), uncompressed.
const POINTS_BYTES: usize = 256;
const WORD_BYTES: usize = 32;
/// Words of the points: the coordinates.
const COORDINATES: usize = 8;
/// First bytes of the SHA-256 of each of upstream's keys, which proofs begin with.
const PREFIXES: [[u8; 4]; 5] = [
    [0x09, 0x06, 0x90, 0x90],
    [0x11, 0xb6, 0xa0, 0x9d],
    [0xa4, 0x59, 0x4c, 0x59],
    [0x0e, 0x78, 0xf4, 0xdb],
    [0x43, 0x88, 0xa2, 0x1c],
];

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The points A, B and C negated where so said. `-A, -B, C` proves the same.
    Negate([bool; 3]),
    /// The modulus added to a coordinate: the same field element, written otherwise.
    PlusModulus(usize),
    /// A coordinate of nothing but zeros.
    ZeroCoordinate(usize),
    /// The point at infinity for A, B or C.
    Infinity(usize),
    /// The generator for A, B or C.
    Generator(usize),
    /// The halves of one of B's coordinates in the other order.
    SwapHalves(usize),
    /// A and C in each other's place.
    SwapAc,
    /// B outside the prime-order subgroup: any such point.
    OutsideSubgroup,
    /// B plus a point of the cofactor's order: a check without the subgroup could not tell.
    PlusTorsion,
    /// Other bytes before the points: one of the known key prefixes.
    Prefix(usize),
    /// A word between prefix and points, with a bit flipped.
    FlipWord(usize),
    /// The field's order added to the last word before the points: the same field element.
    NoncePlusOrder,
    /// Cut to so many bytes.
    Cut(usize),
    /// So many zeros more.
    Extend(usize),
    /// Another proof.
    Other(Vec<u8>),
    /// A, B or C of another proof.
    PointOf(usize, Vec<u8>),
    /// What another proof has before its points.
    HeadOf(Vec<u8>),
}

impl Edit {
    /// Every change of the proof of `base`; `others` lend theirs.
    pub fn all(base: &Base, others: &[Base]) -> Vec<Self> {
        let Some(proof) = base.proof() else {
            return vec![];
        };
        let mut all = vec![
            Self::SwapAc,
            Self::OutsideSubgroup,
            Self::PlusTorsion,
            Self::NoncePlusOrder,
        ];
        for signs in 1_u8..8 {
            all.push(Self::Negate([
                signs & 1 != 0,
                signs & 2 != 0,
                signs & 4 != 0,
            ]));
        }
        for coordinate in 0..COORDINATES {
            all.push(Self::PlusModulus(coordinate));
            all.push(Self::ZeroCoordinate(coordinate));
        }
        for point in 0..3 {
            all.extend([Self::Infinity(point), Self::Generator(point)]);
            all.push(Self::SwapHalves(point));
        }
        all.extend((0..PREFIXES.len()).map(Self::Prefix));
        all.extend((0..3).map(Self::FlipWord));
        let lengths = (0..proof.len()).filter(|at| at % 16 == 4 || *at < 5 || at + 3 > proof.len());
        all.extend(lengths.map(Self::Cut));
        all.extend([1, 4, 32, 96, 256, 1_000].map(Self::Extend));
        for other in others.iter().filter_map(Base::proof) {
            if other != proof {
                all.extend((0..3).map(|point| Self::PointOf(point, other.clone())));
                all.push(Self::HeadOf(other.clone()));
                all.push(Self::Other(other));
            }
        }
        all
    }

    /// The changed transaction.
    pub fn apply(&self, base: &Base) -> Option<Transaction> {
        let mut proof = base.proof()?;
        self.edit(&mut proof)?;
        base.with_proof(&proof)
    }

    fn edit(&self, proof: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Cut(length) => proof.truncate(*length),
            Self::Extend(count) => proof.resize(proof.len() + count, 0),
            Self::Other(other) => proof.clone_from(other),
            Self::Prefix(index) => proof.get_mut(..4)?.copy_from_slice(PREFIXES.get(*index)?),
            Self::HeadOf(other) => {
                let head = other.get(..points_at(other)?)?;
                proof.splice(..points_at(proof)?, head.iter().copied());
            }
            Self::FlipWord(index) => {
                let at = 4 + index * WORD_BYTES;
                let end = points_at(proof)?;
                *proof.get_mut(..end)?.get_mut(at + 31)? ^= 1;
            }
            Self::NoncePlusOrder => {
                let end = points_at(proof).filter(|end| *end > WORD_BYTES)?;
                let nonce = proof.get_mut(end - WORD_BYTES..end)?;
                nonce.copy_from_slice(&plus_modulus::<Fr>(nonce)?);
            }
            _ => {
                let at = points_at(proof)?;
                self.edit_points(proof.get_mut(at..)?.try_into().ok()?)?;
            }
        }
        Some(())
    }

    fn edit_points(&self, points: &mut [u8; POINTS_BYTES]) -> Option<()> {
        let (words, _) = points.as_chunks_mut::<WORD_BYTES>();
        match self {
            Self::Negate([a, b, c]) => {
                for (negated, ordinates) in [(a, 1..2), (b, 4..6), (c, 7..8)] {
                    if *negated {
                        for word in &mut words[ordinates] {
                            *word = bytes(-Fq::from_be_bytes_mod_order(word));
                        }
                    }
                }
            }
            Self::PlusModulus(at) => {
                let word = words.get_mut(*at)?;
                *word = plus_modulus::<Fq>(word)?;
            }
            Self::ZeroCoordinate(at) => *words.get_mut(*at)? = [0; WORD_BYTES],
            Self::Infinity(point) => points[span(*point)].fill(0),
            Self::Generator(1) => set_b(words, G2Affine::generator()),
            Self::Generator(point) => {
                let generator = G1Affine::generator();
                let at = if *point == 0 { 0 } else { 6 };
                words[at] = bytes(generator.x);
                words[at + 1] = bytes(generator.y);
            }
            Self::SwapHalves(half) => words.swap(2 + 2 * half.min(&1), 3 + 2 * half.min(&1)),
            Self::SwapAc => {
                words.swap(0, 6);
                words.swap(1, 7);
            }
            Self::OutsideSubgroup => set_b(words, outside_subgroup()),
            Self::PlusTorsion => {
                let torsion = outside_subgroup().mul_bigint(Fr::MODULUS);
                set_b(words, (torsion + b(words)).into_affine());
            }
            Self::PointOf(point, other) => {
                let other = other.get(points_at(other)?..)?;
                points[span(*point)].copy_from_slice(other.get(span(*point))?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn points_at(proof: &[u8]) -> Option<usize> {
    proof.len().checked_sub(POINTS_BYTES).filter(|at| *at >= 4)
}

fn span(point: usize) -> std::ops::Range<usize> {
    match point {
        0 => 0..64,
        1 => 64..192,
        _ => 192..256,
    }
}

fn bytes(coordinate: Fq) -> [u8; WORD_BYTES] {
    let bytes = coordinate.into_bigint().to_bytes_be();
    bytes.try_into().expect("32 bytes")
}

/// `None` when 32 bytes do not hold the sum.
fn plus_modulus<F: PrimeField>(word: &[u8]) -> Option<[u8; WORD_BYTES]> {
    let mut sum = [0; WORD_BYTES];
    let mut carry = 0;
    let modulus = F::MODULUS.to_bytes_be();
    for ((sum, a), b) in sum.iter_mut().zip(word).zip(&modulus).rev() {
        carry += u16::from(*a) + u16::from(*b);
        *sum = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    (carry == 0).then_some(sum)
}

fn b(words: &[[u8; WORD_BYTES]]) -> G2Affine {
    let field = |at: usize| Fq::from_be_bytes_mod_order(&words[at]);
    G2Affine::new_unchecked(Fq2::new(field(3), field(2)), Fq2::new(field(5), field(4)))
}

fn set_b(words: &mut [[u8; WORD_BYTES]], point: G2Affine) {
    let coordinates = [point.x.c1, point.x.c0, point.y.c1, point.y.c0];
    for (word, coordinate) in words.iter_mut().skip(2).zip(coordinates) {
        *word = bytes(coordinate);
    }
}

/// The point of the twist with the smallest abscissa that is outside the subgroup.
fn outside_subgroup() -> G2Affine {
    (1_u64..1_000)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::new(x.into(), Fq::ZERO), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .expect("most points are outside")
}
