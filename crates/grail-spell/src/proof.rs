//! Spell proofs: which key, which encoding and which public values belong to each protocol version.
//!
//! Versions 0 to 11 carry an SP1 v5 proof (4-byte key prefix, 256-byte Groth16 proof), 12 to 15 an
//! SP1 v6 proof (prefix, exit code, vk root, nonce, Groth16 proof). A mock spell of any version
//! carries a proof of a dummy circuit on BLS12-381 whose proving key is public.
//!
//! Checking has two steps: [`claim`] reads a proof into its points and public inputs and refuses
//! whatever is malformed; then the pairing equation is checked, for one claim ([`Claim::check`]) or
//! for many at once ([`check_all`]).

use std::sync::OnceLock;

#[cfg(feature = "development")]
use ark_bls12_381::{Bls12_381, G1Affine, G2Affine};
use ark_bn254::{Bn254, Fr};
use ark_ff::{BigInt, PrimeField as _};
#[cfg(feature = "development")]
use ark_serialize::CanonicalDeserialize as _;
use bitcoin::hex::DisplayHex as _;
use grail_types::MockAllowed;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::gnark::{self, PointError};
use crate::groth16::{self, PreparedKey};
#[cfg(feature = "development")]
use crate::groth16::{Key, Points};
use crate::spell::{NormalizedSpell, PROTOCOL_VERSION};
use crate::strict::StrictError;
use crate::version_zero;

/// Verification key of the version 15 spell checker, as `charms-lib` 15.0.0 pins it.
pub const SPELL_VK: [u8; 32] =
    bytes32("00425796f4c4fa050043eee14d801b4f935244e44aad6a28de0cd5cb3de0ae52");

/// Stands in for the spell checker's key in the public values of a mock spell of any version.
#[cfg(feature = "development")]
pub const MOCK_SPELL_VK: [u8; 32] =
    bytes32("7c38e8639a2eac0074cee920982b92376513e8940f4a7ca6859f17a728af5b0e");

/// The spell checker's verification key of each version before the current one, from
/// `charms-client` 15.0.0.
const EARLIER_SPELL_VKS: [[u8; 32]; 15] = [
    bytes32("00e9398ac819e6dd281f81db3ada3fe5159c3cc40222b5ddb0e7584ed2327c5d"),
    bytes32("009f38f590ebca4c08c1e97b4064f39e4cd336eea4069669c5f5170a38a1ff97"),
    bytes32("00bd312b6026dbe4a2c16da1e8118d4fea31587a4b572b63155252d2daf69280"),
    bytes32("0034872b5af38c95fe82fada696b09a448f7ab0928273b7ac8c58ba29db774b9"),
    bytes32("00c707a155bf8dc18dc41db2994c214e93e906a3e97b4581db4345b3edd837c5"),
    bytes32("00e98665c417bd2e6e81c449af63b26ed5ad5c400ef55811b592450bf62c67cd"),
    bytes32("005a1df17094445572e4dd474b3e5dd9093936cba62ca3a62bb2ce63d9db8cba"),
    bytes32("0041d9843ec25ba04797a0ce29af364389f7eda9f7126ef39390c357432ad9aa"),
    bytes32("00e440d40e331c16bc4c78d2dbc6bb35876e6ea944e943de359a075e07385abc"),
    bytes32("00713f077ec2bd68157512835dc678053565a889935ecd5789ce2fa097c93ee9"),
    bytes32("00ccf030317cae019a4cd3c8557b2c5b522050e7e562e3adf287cd5ad596511f"),
    bytes32("00d41d49f54303acee4e7d064a31e0c9bd2e1bbdb60f39170a1461c71015c308"),
    bytes32("00cd44537c67da0dc50b88e794deed43c4507a862070ed83c99941789811a6a0"),
    bytes32("004ef5bd2f6ed0c33b022dcc263bde479421d81a82ca0cb1a99d9ff361f89895"),
    bytes32("001a2396afb7e376736d9cf82d33c0dec55cb66866bf7f141fdaa92ab70a0506"),
];

/// Root of the recursion keys that SP1 6.0 proofs commit to.
const SP1_V6_0_VK_ROOT: [u8; 32] =
    bytes32("008cd56e10c2fe24795cff1e1d1f40d3a324528d315674da45d26afb376e8670");
/// Root of the recursion keys that SP1 6.2 proofs commit to.
const SP1_V6_2_VK_ROOT: [u8; 32] =
    bytes32("002f850ee998974d6cc00e50cd0814b098c05bfade466d28573240d057f25352");

/// A proof begins with this many bytes of the SHA-256 of the key that checks it.
const KEY_PREFIX_BYTES: usize = 4;
/// Before the nonce of an SP1 v6 proof come the prefix, the exit code and the vk root.
const NONCE_OFFSET: usize = KEY_PREFIX_BYTES + 32 + 32;
/// A compressed BLS12-381 Groth16 proof.
#[cfg(feature = "development")]
const MOCK_PROOF_BYTES: usize = 192;

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// No such protocol version here.
    #[error("unsupported spell version {version}")]
    Version {
        /// The version.
        version: u32,
    },
    /// A mock spell where mock spells are not allowed.
    #[error("the spell is a mock, expected a real proof")]
    MockRefused,
    /// The spell cannot be encoded as the proof would have committed to it.
    #[error("cannot encode the spell's public values: {0}")]
    PublicValues(String),
    /// Too short or too long.
    #[error("proof of {length} bytes does not fit spell version {version}")]
    Length {
        /// Its length.
        length: usize,
        /// The version.
        version: u32,
    },
    /// Made for another key.
    #[error("proof was made for another verification key")]
    KeyPrefix,
    /// Made by other recursion programs.
    #[error("proof commits to another vk root")]
    VkRoot,
    /// The proven program failed.
    #[error("proof is of a run that failed")]
    ExitCode,
    /// A point is malformed.
    #[error("malformed proof: {0}")]
    Point(#[from] PointError),
    /// A point of a mock proof is malformed.
    #[error("malformed mock proof")]
    MockPoint,
    /// Well-formed, and false.
    #[error("proof does not hold for this spell and transaction")]
    False,
    /// A mock proof that is well-formed, and false.
    #[error("mock proof does not hold for this spell and transaction")]
    MockFalse,
}

/// A well-formed proof: what remains to be seen is whether it holds.
pub(crate) enum Claim {
    /// Of a spell checker, under the key of its SP1 version.
    Sp1(&'static Groth16Key, groth16::Claim<Bn254>),
    /// Of the dummy circuit.
    #[cfg(feature = "development")]
    Mock(groth16::Claim<Bls12_381>),
}

/// Whether this version of the protocol is known here. Asked first: what a later one means by the
/// rest of a spell is not known either. A mock spell, where those are allowed, may be of any
/// version, as for Charms.
pub(crate) fn check_version(
    spell: &NormalizedSpell,
    mock: Option<MockAllowed>,
) -> Result<(), ProofError> {
    if spell.version <= PROTOCOL_VERSION || (spell.mock && mock.is_some()) {
        return Ok(());
    }
    Err(ProofError::Version {
        version: spell.version,
    })
}

/// Whether the nonce in a version 15 proof, if it has one, is written in the one way in which it is
/// a scalar: Charms reduces it, so that each but the largest can be written in several ways.
pub(crate) fn check_nonce_reduced(proof: &[u8]) -> Result<(), StrictError> {
    let Some(nonce) = proof
        .get(NONCE_OFFSET..)
        .and_then(<[u8]>::first_chunk::<32>)
    else {
        // Too short for any proof, which its reading says.
        return Ok(());
    };
    let mut limbs = [0_u64; 4];
    let (words, _) = nonce.as_chunks::<8>();
    for (limb, word) in limbs.iter_mut().rev().zip(words) {
        *limb = u64::from_be_bytes(*word);
    }
    Fr::from_bigint(BigInt::new(limbs))
        .map(|_| ())
        .ok_or(StrictError::Nonce)
}

/// Reads the proof of a spell in its proving form (with the inputs and coins that its version
/// commits to).
pub(crate) fn claim(
    spell: &NormalizedSpell,
    proof: &[u8],
    mock: Option<MockAllowed>,
) -> Result<Claim, ProofError> {
    if spell.mock {
        mock.ok_or(ProofError::MockRefused)?;
        return mock_claim(spell, proof);
    }
    let keys = VersionKeys::of(spell.version)?;
    let values = public_values(spell.version, keys.spell_vk, spell)?;
    let (inputs, points) = match keys.vk_root {
        None => sp1_v5_inputs(&keys, &values, proof),
        Some(vk_root) => sp1_v6_inputs(&keys, &values, proof, vk_root),
    }
    .ok_or(ProofError::Length {
        length: proof.len(),
        version: spell.version,
    })??;
    let points = gnark::read_proof(points)?;
    Ok(Claim::Sp1(keys.groth16, groth16::Claim { points, inputs }))
}

impl Claim {
    /// The pairing equation.
    pub(crate) fn check(&self) -> Result<(), ProofError> {
        match self {
            Self::Sp1(key, claim) => claim.check(key.prepared()),
            #[cfg(feature = "development")]
            Self::Mock(claim) => claim.check(mock_key()).map_err(|_| ProofError::MockFalse),
        }
    }
}

/// The pairing equations of all `claims`, those of one key at once: for each what [`Claim::check`]
/// says, save with a chance of 2^-128 per attempt of whoever made the proofs. See
/// [`crate::UnprovenSpell::check_all`] for `seed`.
pub(crate) fn check_all(claims: &[Claim], seed: &[u8; 32]) -> Vec<Result<(), ProofError>> {
    let mut verdicts = vec![Err(ProofError::False); claims.len()];
    let mut settle = |places: Vec<usize>, outcomes: Vec<Result<(), ProofError>>| {
        for (place, outcome) in places.into_iter().zip(outcomes) {
            if let Some(verdict) = verdicts.get_mut(place) {
                *verdict = outcome;
            }
        }
    };
    for key in Groth16Key::ALL {
        let (places, of_key): (Vec<_>, Vec<_>) = claims
            .iter()
            .enumerate()
            .filter_map(|(place, claim)| match claim {
                Claim::Sp1(used, claim) if std::ptr::eq(*used, key) => Some((place, claim)),
                Claim::Sp1(..) => None,
                #[cfg(feature = "development")]
                Claim::Mock(_) => None,
            })
            .unzip();
        if !of_key.is_empty() {
            settle(places, groth16::check_all(key.prepared(), &of_key, seed));
        }
    }
    #[cfg(feature = "development")]
    let (places, of_mock): (Vec<_>, Vec<_>) = claims
        .iter()
        .enumerate()
        .filter_map(|(place, claim)| match claim {
            Claim::Mock(claim) => Some((place, claim)),
            Claim::Sp1(..) => None,
        })
        .unzip();
    #[cfg(feature = "development")]
    if !of_mock.is_empty() {
        let outcomes = groth16::check_all(mock_key(), &of_mock, seed);
        let outcomes = outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(|_| ProofError::MockFalse))
            .collect();
        settle(places, outcomes);
    }
    verdicts
}

/// The bytes that the proof of `spell` commits to: the checker's key and the spell in its proving
/// form.
pub fn public_values(
    version: u32,
    spell_vk: &[u8; 32],
    spell: &NormalizedSpell,
) -> Result<Vec<u8>, ProofError> {
    let spell_vk_text = || format!("0x{}", spell_vk.as_hex());
    let mut values = Vec::new();
    match version {
        0 => {
            return version_zero::encode(&(spell_vk_text(), spell))
                .map_err(|error| ProofError::PublicValues(error.to_string()));
        }
        1..=14 => ciborium::into_writer(&(spell_vk_text(), spell), &mut values),
        _ => ciborium::into_writer(&(spell_vk, spell), &mut values),
    }
    .map_err(|error| ProofError::PublicValues(error.to_string()))?;
    Ok(values)
}

/// What the proof of one protocol version is checked with.
struct VersionKeys {
    spell_vk: &'static [u8; 32],
    groth16: &'static Groth16Key,
    /// Present in SP1 v6 proofs.
    vk_root: Option<[u8; 32]>,
}

impl VersionKeys {
    fn of(version: u32) -> Result<Self, ProofError> {
        let spell_vk = match usize::try_from(version) {
            Ok(15) => &SPELL_VK,
            Ok(index) => EARLIER_SPELL_VKS
                .get(index)
                .ok_or(ProofError::Version { version })?,
            Err(_) => return Err(ProofError::Version { version }),
        };
        let (groth16, vk_root) = match version {
            0 => (&V0_KEY, None),
            1..=3 => (&V1_KEY, None),
            4..=11 => (&V4_KEY, None),
            12 | 13 => (&V12_KEY, Some(SP1_V6_0_VK_ROOT)),
            14 | 15 => (&V14_KEY, Some(SP1_V6_2_VK_ROOT)),
            _ => return Err(ProofError::Version { version }),
        };
        Ok(Self {
            spell_vk,
            groth16,
            vk_root,
        })
    }
}

static V0_KEY: Groth16Key = Groth16Key::new(include_bytes!("../vk/v0.bin"));
static V1_KEY: Groth16Key = Groth16Key::new(include_bytes!("../vk/v1.bin"));
static V4_KEY: Groth16Key = Groth16Key::new(include_bytes!("../vk/v4.bin"));
static V12_KEY: Groth16Key = Groth16Key::new(include_bytes!("../vk/v12.bin"));
static V14_KEY: Groth16Key = Groth16Key::new(include_bytes!("../vk/v14.bin"));

/// A committed key file, read once.
pub(crate) struct Groth16Key {
    bytes: &'static [u8],
    prepared: OnceLock<PreparedKey<Bn254>>,
    prefix: OnceLock<[u8; KEY_PREFIX_BYTES]>,
}

impl Groth16Key {
    const ALL: [&'static Self; 5] = [&V0_KEY, &V1_KEY, &V4_KEY, &V12_KEY, &V14_KEY];

    const fn new(bytes: &'static [u8]) -> Self {
        Self {
            bytes,
            prepared: OnceLock::new(),
            prefix: OnceLock::new(),
        }
    }

    fn prepared(&self) -> &PreparedKey<Bn254> {
        self.prepared.get_or_init(|| {
            let key = gnark::read_verification_key(self.bytes)
                .expect("committed key files are read by a test");
            PreparedKey::new(key)
        })
    }

    fn prefix(&self) -> &[u8; KEY_PREFIX_BYTES] {
        self.prefix.get_or_init(|| {
            let digest: [u8; 32] = Sha256::digest(self.bytes).into();
            let [a, b, c, d, ..] = digest;
            [a, b, c, d]
        })
    }
}

/// Public inputs of the circuit and the points of the proof. `None`: too short.
type Split<'a> = Option<Result<(Vec<Fr>, &'a [u8]), ProofError>>;

fn sp1_v5_inputs<'a>(keys: &VersionKeys, values: &[u8], proof: &'a [u8]) -> Split<'a> {
    let (prefix, points) = proof.split_first_chunk::<KEY_PREFIX_BYTES>()?;
    if prefix != keys.groth16.prefix() {
        return Some(Err(ProofError::KeyPrefix));
    }
    Some(Ok((
        vec![scalar(keys.spell_vk), values_scalar(values)],
        points,
    )))
}

fn sp1_v6_inputs<'a>(
    keys: &VersionKeys,
    values: &[u8],
    proof: &'a [u8],
    expected_vk_root: [u8; 32],
) -> Split<'a> {
    let (prefix, rest) = proof.split_first_chunk::<KEY_PREFIX_BYTES>()?;
    let (exit_code, rest) = rest.split_first_chunk::<32>()?;
    let (vk_root, rest) = rest.split_first_chunk::<32>()?;
    let (nonce, points) = rest.split_first_chunk::<32>()?;
    if prefix != keys.groth16.prefix() {
        return Some(Err(ProofError::KeyPrefix));
    }
    if *vk_root != expected_vk_root {
        return Some(Err(ProofError::VkRoot));
    }
    if *exit_code != [0; 32] {
        return Some(Err(ProofError::ExitCode));
    }
    // The nonce is the prover's choice; Charms reduces it, and so must we. What is signed has it
    // reduced ([`check_nonce_reduced`]).
    let inputs = [
        keys.spell_vk,
        &values_hash(values),
        exit_code,
        vk_root,
        nonce,
    ]
    .map(scalar);
    Some(Ok((inputs.to_vec(), points)))
}

fn scalar(bytes: &[u8; 32]) -> Fr {
    Fr::from_be_bytes_mod_order(bytes)
}

/// SP1 hashes the public values with SHA-256 and drops the top three bits, to fit the scalar field.
fn values_hash(values: &[u8]) -> [u8; 32] {
    let mut digest: [u8; 32] = Sha256::digest(values).into();
    digest[0] &= 0b0001_1111;
    digest
}

fn values_scalar(values: &[u8]) -> Fr {
    scalar(&values_hash(values))
}

/// arkworks' encoding of a mock key: alpha, beta, gamma, delta and the input points.
#[cfg(feature = "development")]
type MockKey = (G1Affine, G2Affine, G2Affine, G2Affine, Vec<G1Affine>);
/// arkworks' encoding of a proof: A, B, C.
#[cfg(feature = "development")]
type MockPoints = (G1Affine, G2Affine, G1Affine);

#[cfg(feature = "development")]
fn mock_key() -> &'static PreparedKey<Bls12_381> {
    static KEY: OnceLock<PreparedKey<Bls12_381>> = OnceLock::new();
    KEY.get_or_init(|| {
        let (alpha, beta, gamma, delta, input_points) =
            MockKey::deserialize_compressed(include_bytes!("../vk/mock.bin").as_slice())
                .expect("the committed mock key is read by a test");
        PreparedKey::new(Key {
            alpha,
            beta,
            gamma,
            delta,
            input_points,
        })
    })
}

#[cfg(feature = "development")]
fn mock_claim(spell: &NormalizedSpell, proof: &[u8]) -> Result<Claim, ProofError> {
    // Charms ignores what follows the proof; nothing that Grail reads on regtest has anything
    // there.
    if proof.len() != MOCK_PROOF_BYTES {
        return Err(ProofError::MockPoint);
    }
    let values = public_values(spell.version, &MOCK_SPELL_VK, spell)?;
    let (a, b, c) = MockPoints::deserialize_compressed(proof).map_err(|_| ProofError::MockPoint)?;
    Ok(Claim::Mock(groth16::Claim {
        points: Points { a, b, c },
        inputs: vec![mock_input(&values)],
    }))
}

/// A production build has no key to check one with.
#[cfg(not(feature = "development"))]
fn mock_claim(_: &NormalizedSpell, _: &[u8]) -> Result<Claim, ProofError> {
    Err(ProofError::MockRefused)
}

/// The dummy circuit's one public input: the first 31 bytes of the hash, little-endian, so that
/// they fit the field.
#[cfg(feature = "development")]
fn mock_input(values: &[u8]) -> ark_bls12_381::Fr {
    let mut digest: [u8; 32] = Sha256::digest(values).into();
    digest[31] = 0;
    ark_bls12_381::Fr::from_le_bytes_mod_order(&digest)
}

/// Reads 64 hexadecimal digits while compiling.
const fn bytes32(hex: &str) -> [u8; 32] {
    let digits = hex.as_bytes();
    assert!(digits.len() == 64, "expected 64 hexadecimal digits");
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 32 {
        bytes[index] = nibble(digits[2 * index]) << 4 | nibble(digits[2 * index + 1]);
        index += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("expected a lowercase hexadecimal digit"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_key_is_the_committed_one_and_reads() {
        for (key, sha256, input_count) in [
            (
                &V0_KEY,
                "090690902a12d1d02c07a1ad25aa76bded5f6499e12a11ba127669501b553998",
                2,
            ),
            (
                &V1_KEY,
                "11b6a09d63d255ad425ee3a7f6211d5ec63fbde9805b40551c3136275b6f4eb4",
                2,
            ),
            (
                &V4_KEY,
                "a4594c59bbc142f3b81c3ecb7f50a7c34bc9af7c4c444b5d48b795427e285913",
                2,
            ),
            (
                &V12_KEY,
                "0e78f4db7a6771a3a6a7d9c3b0de6fe73d58781368967a7fe84d87aefffec896",
                5,
            ),
            (
                &V14_KEY,
                "4388a21c687fdd5f218d7e3d13190cac4c5355818d3605fd5fb811df468ee696",
                5,
            ),
        ] {
            assert_eq!(Sha256::digest(key.bytes).as_slice(), bytes32(sha256));
            assert_eq!(key.prefix(), &bytes32(sha256)[..KEY_PREFIX_BYTES]);
            assert_eq!(key.prepared().input_count(), input_count);
        }
    }

    /// Charms uses the hash of the mock key as the mock spell checker's key.
    #[cfg(feature = "development")]
    #[test]
    fn mock_key_is_the_committed_one_and_reads() {
        assert_eq!(
            Sha256::digest(include_bytes!("../vk/mock.bin")).as_slice(),
            MOCK_SPELL_VK
        );
        assert_eq!(mock_key().input_count(), 1);
        for proof in [[0; MOCK_PROOF_BYTES].as_slice(), &[]] {
            let refused = mock_claim(&NormalizedSpell::default(), proof).err();
            assert_eq!(refused, Some(ProofError::MockPoint));
        }
    }

    #[test]
    fn versions_end_at_the_current_one() {
        for version in 0..=15 {
            assert!(VersionKeys::of(version).is_ok(), "{version}");
        }
        for version in [16, 17, u32::MAX] {
            assert_eq!(
                VersionKeys::of(version).err(),
                Some(ProofError::Version { version })
            );
        }
        assert_eq!(VersionKeys::of(15).unwrap().spell_vk, &SPELL_VK);
        assert_eq!(
            VersionKeys::of(14).unwrap().spell_vk[..4],
            [0x00, 0x1a, 0x23, 0x96]
        );
    }

    #[test]
    fn public_values_name_the_checker_as_text_until_14_and_as_bytes_after() {
        let spell = NormalizedSpell::default();
        let of = |version| public_values(version, &[0xab; 32], &spell).unwrap();
        assert_eq!(of(1), of(14));
        assert!(of(14).starts_with(&[0x82, 0x78, 66, b'0', b'x', b'a', b'b']));
        assert!(of(15).starts_with(&[0x82, 0x98, 32, 0x18, 0xab]));
        // As text, its length first, in eight bytes.
        assert!(of(0).starts_with(&[66, 0, 0, 0, 0, 0, 0, 0, b'0', b'x', b'a', b'b']));
    }
}
