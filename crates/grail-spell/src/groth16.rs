//! Groth16: keys, proofs, and the pairing equation, for one proof and for many of one key at once.
//!
//! Owned here, on arkworks' curves, because arkworks' own crate for it brings provers and
//! constraint systems, some twenty crates, into the enclave for these few lines. The equation:
//! `e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta)`, where `L` is the sum of the key's input
//! points, the first once and each further one as often as its public input says.
//!
//! Many are checked by one random linear combination. Each proof has an error, a value of the
//! target group that is one when the proof holds; the combination raises each to a random power and
//! multiplies them. Points are in their prime-order subgroups when they come here, so the target
//! values are in a group of prime order above 2^250, and whatever proofs do not all hold give one
//! with a chance of 2^-128 at most. When the combination does not give one, halves are tried, and
//! what is left alone is checked singly: whatever is refused was refused by its own equation.
//!
//! Trusts that the points are on their curves and in their subgroups, as [`crate::proof`] reads
//! them. Draws no randomness: the powers come from the seed that it is given and from the claims
//! themselves.

use std::iter;
use std::ops::Range;

use ark_ec::pairing::{MillerLoopOutput, Pairing, PairingOutput};
use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, PrimeField as _, Zero as _};
use ark_serialize::CanonicalSerialize as _;
use grail_types::TaggedHasher;

use crate::proof::ProofError;

/// So many pairings are prepared at a time: each takes about 20 kB.
const MILLER_LOOP_MAX: usize = 64;

/// Looking for false proofs ends, and the rest is checked singly, when the combinations tried have
/// had this many times as many proofs as there are: so a batch of false proofs costs a few times
/// what they would cost singly, not more.
const SEARCH_MAX: usize = 3;

/// arkworks sizes a table by how often it will be used; this gives windows of five bits and 0.2 MB
/// a point at most.
const TABLE_USES: usize = 200;

/// A verification key as its maker publishes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key<E: Pairing> {
    pub(crate) alpha: E::G1Affine,
    pub(crate) beta: E::G2Affine,
    pub(crate) gamma: E::G2Affine,
    pub(crate) delta: E::G2Affine,
    /// One more than the circuit has public inputs.
    pub(crate) input_points: Vec<E::G1Affine>,
}

/// A verification key with all that does not depend on the proof computed.
pub(crate) struct PreparedKey<E: Pairing> {
    key: Key<E>,
    alpha_beta: PairingOutput<E>,
    beta: E::G2Prepared,
    minus_gamma: E::G2Prepared,
    minus_delta: E::G2Prepared,
    /// Of each input point but the first: multiples of it, so that multiplying it takes additions
    /// only.
    input_tables: Vec<BatchMulPreprocessing<E::G1>>,
}

impl<E: Pairing> PreparedKey<E> {
    pub(crate) fn new(key: Key<E>) -> Self {
        let minus = |point: E::G2Affine| E::G2Prepared::from((-point.into_group()).into_affine());
        Self {
            alpha_beta: E::pairing(key.alpha, key.beta),
            beta: key.beta.into(),
            minus_gamma: minus(key.gamma),
            minus_delta: minus(key.delta),
            input_tables: (key.input_points.iter().skip(1))
                .map(|point| BatchMulPreprocessing::new(point.into_group(), TABLE_USES))
                .collect(),
            key,
        }
    }

    /// How many public inputs the circuit has.
    pub(crate) fn input_count(&self) -> usize {
        self.key.input_points.len().saturating_sub(1)
    }

    /// The first of the key's input points.
    fn constant_input(&self) -> E::G1Affine {
        self.key.input_points.first().copied().unwrap_or_default()
    }

    /// The sum of the key's further input points, each as often as its input says.
    fn input_sum(&self, inputs: &[E::ScalarField]) -> E::G1 {
        iter::zip(&self.input_tables, inputs)
            .flat_map(|(table, &input)| table.batch_mul(&[input]))
            .fold(E::G1::zero(), |sum, product| sum + product)
    }
}

/// The points of a proof, each in its prime-order subgroup.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points<E: Pairing> {
    pub(crate) a: E::G1Affine,
    pub(crate) b: E::G2Affine,
    pub(crate) c: E::G1Affine,
}

/// A proof's points and public inputs.
pub(crate) struct Claim<E: Pairing> {
    pub(crate) points: Points<E>,
    pub(crate) inputs: Vec<E::ScalarField>,
}

impl<E: Pairing> Claim<E> {
    /// The equation means nothing with inputs too many or too few.
    fn check_input_count(&self, key: &PreparedKey<E>) -> Result<(), ProofError> {
        if self.inputs.len() == key.input_count() {
            Ok(())
        } else {
            Err(ProofError::False)
        }
    }

    /// Checks the equation of this proof alone.
    pub(crate) fn check(&self, key: &PreparedKey<E>) -> Result<(), ProofError> {
        self.check_input_count(key)?;
        let input_sum = key.input_sum(&self.inputs) + key.constant_input();
        let product = E::multi_miller_loop(
            [self.points.a, input_sum.into_affine(), self.points.c],
            [
                self.points.b.into(),
                key.minus_gamma.clone(),
                key.minus_delta.clone(),
            ],
        );
        equals(product, &key.alpha_beta)
    }
}

fn equals<E: Pairing>(
    product: MillerLoopOutput<E>,
    expected: &PairingOutput<E>,
) -> Result<(), ProofError> {
    match E::final_exponentiation(product) {
        Some(product) if product == *expected => Ok(()),
        _ => Err(ProofError::False),
    }
}

/// Checks the equations of `claims`, all of one key.
pub(crate) fn check_all<E: Pairing>(
    key: &PreparedKey<E>,
    claims: &[&Claim<E>],
    seed: &[u8; 32],
) -> Vec<Result<(), ProofError>> {
    let mut search = Search::over(key, claims, seed);
    search.judge(0..claims.len());
    search.verdicts
}

struct Search<'a, E: Pairing> {
    key: &'a PreparedKey<E>,
    claims: &'a [&'a Claim<E>],
    powers: Vec<u128>,
    verdicts: Vec<Result<(), ProofError>>,
    /// Claims that combinations may still take up, each as often as it is in one. Beyond them each
    /// claim is checked alone, once.
    budget: usize,
}

impl<'a, E: Pairing> Search<'a, E> {
    fn over(key: &'a PreparedKey<E>, claims: &'a [&'a Claim<E>], seed: &[u8; 32]) -> Self {
        Self {
            key,
            claims,
            powers: powers(claims, seed),
            verdicts: vec![Err(ProofError::False); claims.len()],
            budget: claims.len().saturating_mul(SEARCH_MAX),
        }
    }

    /// Fills in the verdicts of `range`. Halves it each time: not deeper than the logarithm of the
    /// number of claims.
    fn judge(&mut self, range: Range<usize>) {
        let claims = self.claims.get(range.clone()).unwrap_or_default();
        let verdicts = self.verdicts.get_mut(range.clone()).unwrap_or_default();
        match self.budget.checked_sub(claims.len()) {
            Some(left) if claims.len() > 1 => self.budget = left,
            _ => {
                for (verdict, claim) in verdicts.iter_mut().zip(claims) {
                    *verdict = claim.check(self.key);
                }
                return;
            }
        }
        let powers = self.powers.get(range.clone()).unwrap_or_default();
        if combination_holds(self.key, claims, powers).is_ok() {
            verdicts.fill(Ok(()));
            return;
        }
        let middle = range.start.midpoint(range.end);
        self.judge(range.start..middle);
        self.judge(middle..range.end);
    }
}

/// One power for each claim: 128 bits that nobody can know before all claims are fixed.
fn powers<E: Pairing>(claims: &[&Claim<E>], seed: &[u8; 32]) -> Vec<u128> {
    let mut hasher = TaggedHasher::new("grail/proof-batch/v1").bytes(seed);
    let mut bytes = Vec::new();
    for claim in claims {
        bytes.clear();
        // Writing to a vector cannot fail.
        let Points { a, b, c } = &claim.points;
        let _ = (a, b, c).serialize_uncompressed(&mut bytes);
        let _ = claim.inputs.serialize_uncompressed(&mut bytes);
        hasher = hasher.bytes(&bytes);
    }
    let transcript = hasher.finish();
    (0_u64..)
        .take(claims.len())
        .map(|index| {
            let hash = TaggedHasher::new("grail/proof-batch-power/v1")
                .bytes(&transcript)
                .u64(index)
                .finish();
            let (power, _) = hash.split_first_chunk::<16>().expect("a hash has 32 bytes");
            u128::from_le_bytes(*power)
        })
        .collect()
}

/// Checks `e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta)` of all claims, each to its power, as
/// one product: the pairs `(power A, B)` and, summed over the claims, `-beta`, `-gamma` and
/// `-delta` with what belongs to them.
fn combination_holds<E: Pairing>(
    key: &PreparedKey<E>,
    claims: &[&Claim<E>],
    powers: &[u128],
) -> Result<(), ProofError> {
    for claim in claims {
        claim.check_input_count(key)?;
    }
    let mut power_sum = E::ScalarField::zero();
    let mut input_sums = vec![E::ScalarField::zero(); key.input_count()];
    let mut c_sum = E::G1::zero();
    let mut product = E::TargetField::ONE;
    for (claims, powers) in iter::zip(
        claims.chunks(MILLER_LOOP_MAX),
        powers.chunks(MILLER_LOOP_MAX),
    ) {
        let mut a_powers = Vec::with_capacity(claims.len());
        for (claim, &power) in iter::zip(claims, powers) {
            let limbs = limbs(power);
            a_powers.push(claim.points.a.mul_bigint(limbs));
            c_sum += claim.points.c.mul_bigint(limbs);
            let power = E::ScalarField::from(power);
            power_sum += power;
            for (sum, input) in iter::zip(&mut input_sums, &claim.inputs) {
                *sum += power * input;
            }
        }
        let MillerLoopOutput(factor) = E::multi_miller_loop(
            E::G1::normalize_batch(&a_powers),
            claims.iter().map(|claim| claim.points.b),
        );
        product *= factor;
    }
    let alpha = key.key.alpha.mul_bigint((-power_sum).into_bigint());
    let input_sum =
        key.input_sum(&input_sums) + key.constant_input().mul_bigint(power_sum.into_bigint());
    let MillerLoopOutput(factor) = E::multi_miller_loop(
        [alpha, input_sum, c_sum].map(E::G1::into_affine),
        [
            key.beta.clone(),
            key.minus_gamma.clone(),
            key.minus_delta.clone(),
        ],
    );
    product *= factor;
    equals::<E>(MillerLoopOutput(product), &PairingOutput::zero())
}

/// Least significant first.
fn limbs(power: u128) -> [u64; 2] {
    let bytes = power.to_le_bytes();
    let (limbs, _) = bytes.as_chunks::<8>();
    let mut read = limbs.iter().map(|limb| u64::from_le_bytes(*limb));
    [
        read.next().unwrap_or_default(),
        read.next().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ark_bls12_381::Bls12_381;
    use ark_bn254::Bn254;
    use ark_ec::{AdditiveGroup as _, PrimeGroup as _};
    use proptest::prelude::*;

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    /// A key whose secrets are known, so that proofs of it can be made of any inputs, true and
    /// false.
    struct Simulator<E: Pairing> {
        key: PreparedKey<E>,
        alpha: E::ScalarField,
        beta: E::ScalarField,
        gamma: E::ScalarField,
        delta_inverse: E::ScalarField,
        input_secrets: Vec<E::ScalarField>,
    }

    fn scalar<E: Pairing>(use_: &str, number: u64) -> E::ScalarField {
        let hash = TaggedHasher::new(use_).u64(number).finish();
        E::ScalarField::from_le_bytes_mod_order(&hash)
    }

    fn g1<E: Pairing>(scalar: E::ScalarField) -> E::G1Affine {
        (E::G1::generator() * scalar).into_affine()
    }

    fn g2<E: Pairing>(scalar: E::ScalarField) -> E::G2Affine {
        (E::G2::generator() * scalar).into_affine()
    }

    impl<E: Pairing> Simulator<E> {
        fn new(input_count: u64) -> Self {
            let secret = |number| scalar::<E>("grail/test-secret/v1", number);
            let (alpha, beta, gamma, delta) = (secret(0), secret(1), secret(2), secret(3));
            let input_secrets: Vec<_> = (0..=input_count).map(|index| secret(4 + index)).collect();
            let key = Key {
                alpha: g1::<E>(alpha),
                beta: g2::<E>(beta),
                gamma: g2::<E>(gamma),
                delta: g2::<E>(delta),
                input_points: input_secrets
                    .iter()
                    .map(|&secret| g1::<E>(secret))
                    .collect(),
            };
            Self {
                key: PreparedKey::new(key),
                alpha,
                beta,
                gamma,
                delta_inverse: delta.inverse().unwrap(),
                input_secrets,
            }
        }

        fn proven(&self, number: u64) -> Claim<E> {
            let value = |index| scalar::<E>("grail/test-value/v1", 1_000 * number + index);
            let inputs: Vec<_> = (2..)
                .map(value)
                .take(self.input_secrets.len() - 1)
                .collect();
            let sum: E::ScalarField = iter::zip(
                &self.input_secrets,
                iter::once(&E::ScalarField::ONE).chain(&inputs),
            )
            .map(|(secret, input)| *secret * input)
            .sum();
            let (a, b) = (value(0), value(1));
            let c = (a * b - self.alpha * self.beta - self.gamma * sum) * self.delta_inverse;
            Claim {
                points: Points {
                    a: g1::<E>(a),
                    b: g2::<E>(b),
                    c: g1::<E>(c),
                },
                inputs,
            }
        }

        fn check_all(&self, claims: &[Claim<E>]) -> Vec<Result<(), ProofError>> {
            let claims: Vec<_> = claims.iter().collect();
            check_all(&self.key, &claims, &SEED)
        }

        fn check_singly(&self, claims: &[Claim<E>]) -> Vec<Result<(), ProofError>> {
            claims.iter().map(|claim| claim.check(&self.key)).collect()
        }
    }

    fn shift_c<E: Pairing>(claim: &mut Claim<E>, by: E::G1) {
        claim.points.c = (claim.points.c.into_group() + by).into_affine();
    }

    fn combines<E: Pairing>(
        simulator: &Simulator<E>,
        claims: &[Claim<E>],
        powers: &[u128],
    ) -> Result<(), ProofError> {
        let claims: Vec<_> = claims.iter().collect();
        combination_holds(&simulator.key, &claims, powers)
    }

    /// Counts claims in combinations; each is besides checked alone at most once, as the verdicts
    /// show: every one is there, and none was asked for twice.
    #[test]
    fn nothing_but_false_proofs_costs_a_bounded_multiple_of_one_each() {
        let simulator = Simulator::<Bn254>::new(1);
        let spent = |false_ones: usize, count: u64| {
            let mut claims: Vec<_> = (0..count).map(|number| simulator.proven(number)).collect();
            for claim in claims.iter_mut().take(false_ones) {
                shift_c(claim, <Bn254 as Pairing>::G1::generator());
            }
            let claims: Vec<_> = claims.iter().collect();
            let mut search = Search::over(&simulator.key, &claims, &SEED);
            let budget = search.budget;
            search.judge(0..claims.len());
            let found = search.verdicts.iter().filter(|verdict| verdict.is_err());
            assert_eq!(found.count(), false_ones);
            budget - search.budget
        };
        // All true: one combination. All false: each claim in three of them, and no more.
        assert_eq!(spent(0, 32), 32);
        assert_eq!(spent(32, 32), 32 * SEARCH_MAX);
        for (false_ones, count) in [(1, 32), (33, 33), (2, 33)] {
            let claims = usize::try_from(count).unwrap();
            assert!(spent(false_ones, count) <= claims * SEARCH_MAX);
        }
    }

    fn refuses_proofs_whose_errors_cancel<E: Pairing>(input_count: u64) {
        let simulator = Simulator::<E>::new(input_count);
        let mut claims: Vec<_> = (0..4).map(|number| simulator.proven(number)).collect();
        assert_eq!(combines(&simulator, &claims, &[1; 4]), Ok(()));
        let delta = E::G1::generator();
        shift_c(&mut claims[1], delta);
        shift_c(&mut claims[2], -delta);
        // With equal powers the forgery works: the combination holds and both proofs are false.
        assert_eq!(combines(&simulator, &claims, &[1; 4]), Ok(()));
        assert_eq!(combines(&simulator, &claims, &[9, 5, 5, 2]), Ok(()));
        assert_eq!(
            combines(&simulator, &claims, &[9, 5, 6, 2]),
            Err(ProofError::False)
        );
        let expected = [
            Ok(()),
            Err(ProofError::False),
            Err(ProofError::False),
            Ok(()),
        ];
        assert_eq!(simulator.check_all(&claims), expected);
        assert_eq!(simulator.check_singly(&claims), expected);
    }

    #[test]
    fn refuses_proofs_whose_errors_cancel_on_either_curve() {
        refuses_proofs_whose_errors_cancel::<Bn254>(5);
        refuses_proofs_whose_errors_cancel::<Bls12_381>(1);
    }

    /// Errors chosen against the powers of an earlier batch with the same seed: each proof changes
    /// every power.
    #[test]
    fn a_seed_used_twice_does_not_let_a_forger_adapt() {
        let simulator = Simulator::<Bn254>::new(2);
        let mut claims = [simulator.proven(1), simulator.proven(2)];
        let known = powers(&claims.iter().collect::<Vec<_>>(), &SEED);
        let delta = ark_bn254::G1Projective::generator();
        shift_c(&mut claims[0], delta * ark_bn254::Fr::from(known[1]));
        shift_c(&mut claims[1], -(delta * ark_bn254::Fr::from(known[0])));
        assert_eq!(combines(&simulator, &claims, &known), Ok(()));
        assert_eq!(
            simulator.check_all(&claims),
            [Err(ProofError::False), Err(ProofError::False)]
        );
    }

    #[test]
    fn powers_depend_on_seed_place_points_and_inputs() {
        let simulator = Simulator::<Bn254>::new(2);
        let of = |claims: &[Claim<Bn254>], seed| powers(&claims.iter().collect::<Vec<_>>(), seed);
        let claims = || [simulator.proven(1), simulator.proven(1)];
        let first = of(&claims(), &SEED);
        assert_ne!(first[0], first[1]);
        let mut all = vec![first, of(&claims(), &[8; 32])];
        let mut other = claims();
        other[1].inputs[1] += ark_bn254::Fr::ONE;
        all.push(of(&other, &SEED));
        for change in [
            |points: &mut Points<Bn254>| points.a = -points.a,
            |points: &mut Points<Bn254>| points.b = -points.b,
            |points: &mut Points<Bn254>| points.c = -points.c,
        ] {
            let mut other = claims();
            change(&mut other[1].points);
            all.push(of(&other, &SEED));
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!(distinct.len(), 2 * all.len());
    }

    #[test]
    fn one_input_too_many_or_too_few_is_false() {
        let simulator = Simulator::<Bn254>::new(5);
        for count in [0, 4, 6] {
            let mut claims = [
                simulator.proven(1),
                simulator.proven(2),
                simulator.proven(3),
            ];
            claims[1].inputs.resize(count, ark_bn254::Fr::ZERO);
            let expected = [Ok(()), Err(ProofError::False), Ok(())];
            assert_eq!(simulator.check_all(&claims), expected);
            assert_eq!(simulator.check_singly(&claims), expected);
        }
    }

    #[test]
    fn a_proof_with_two_signs_changed_holds_as_it_does_singly() {
        let simulator = Simulator::<Bls12_381>::new(1);
        let mut claims = [simulator.proven(1), simulator.proven(2)];
        claims[0].points.a = -claims[0].points.a;
        claims[0].points.b = -claims[0].points.b;
        assert_eq!(simulator.check_all(&claims), [Ok(()), Ok(())]);
        claims[0].points.b = -claims[0].points.b;
        assert_eq!(
            simulator.check_all(&claims),
            [Err(ProofError::False), Ok(())]
        );
    }

    #[test]
    fn points_at_infinity_end_in_a_verdict() {
        let simulator = Simulator::<Bls12_381>::new(1);
        let mut claims = [
            simulator.proven(1),
            simulator.proven(2),
            simulator.proven(3),
        ];
        claims[0].points.a = ark_bls12_381::G1Affine::zero();
        claims[2].points.b = ark_bls12_381::G2Affine::zero();
        assert_eq!(
            simulator.check_all(&claims),
            simulator.check_singly(&claims)
        );
        assert_eq!(simulator.check_all(&[]), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Sizes beyond one Miller loop, any part of it false: also where the search gives up.
        #[test]
        fn says_of_each_proof_what_its_own_equation_says(
            size in 1_u64..(MILLER_LOOP_MAX as u64 + 8),
            false_ones in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            all_false in prop::bool::weighted(0.2),
        ) {
            let simulator = Simulator::<Bn254>::new(2);
            let mut claims: Vec<_> = (0..size).map(|number| simulator.proven(number)).collect();
            let mut expected = vec![Ok(()); claims.len()];
            let places: Vec<usize> = if all_false {
                (0..claims.len()).collect()
            } else {
                false_ones.iter().map(|index| index.index(claims.len())).collect()
            };
            for place in places {
                claims[place].inputs[0] += ark_bn254::Fr::ONE;
                expected[place] = Err(ProofError::False);
            }
            prop_assert_eq!(simulator.check_all(&claims), expected);
        }
    }
}
