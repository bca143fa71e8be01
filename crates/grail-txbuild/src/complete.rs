//! Collects what signers contribute to a transaction, and completes it when every input has its
//! quorum.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    Transaction, XOnlyPublicKey,
    secp256k1::{Message, Secp256k1, Verification, schnorr::Signature},
};
use grail_policy::Signing;
use grail_script::{SighashError, Sighashes};
use grail_types::SignerIndex;
use grail_wire::{Contribution, Contributions};
use grail_witness::{WitnessError, quorum_witness, verify_signature};

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// A transaction that signers are deciding on, with what their contributions are checked against.
pub struct Collector {
    signing: Signing,
    sighashes: Vec<Message>,
}

/// One signer's signatures, each verified: one for every input whose roster it is in, in the order
/// of the inputs.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSignatures(BTreeMap<usize, Signature>);

/// An authenticated answer that is wrong: its signer is at fault and nobody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultyContributions {
    /// It leaves out inputs, or has some that are not its signer's.
    #[error("expected signatures of inputs {expected:?}, got {got:?}")]
    Inputs {
        /// The inputs whose roster the signer is in.
        expected: Vec<usize>,
        /// The inputs answered.
        got: Vec<usize>,
    },
    /// A signature does not verify.
    #[error("input {input_index}: {source}")]
    Invalid {
        /// The input.
        input_index: usize,
        /// Why.
        source: WitnessError,
    },
}

impl FaultyContributions {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Inputs { .. } => "signature-count",
            Self::Invalid { .. } => "signature-invalid",
        }
    }
}

/// Whether a quorum can still be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every input has a quorum of its roster.
    Complete,
    /// Some input lacks signatures, and enough signers have not answered.
    Open,
    /// So many signers of some input's roster will not sign that it cannot have a quorum.
    Lost,
}

/// Why a transaction cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input {input_index}: {source}")]
pub struct CompleteError {
    /// The input.
    pub input_index: usize,
    /// Why.
    pub source: WitnessError,
}

impl Collector {
    /// For a transaction that was judged.
    pub fn new(signing: Signing) -> Result<Self, SighashError> {
        let mut cache = Sighashes::new(&signing.transaction, &signing.prevouts);
        let sighashes = signing
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| cache.of(index, &input.spend))
            .collect::<Result<_, _>>()?;
        Ok(Self { signing, sighashes })
    }

    /// The transaction with its inputs.
    pub const fn signing(&self) -> &Signing {
        &self.signing
    }

    /// Checks one signer's contributions: a signature for each input whose roster it is in and for
    /// no other, each against its own input's sighash. Anything less would let a signer seem to
    /// have answered and leave an input without a quorum.
    pub fn check<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        signer: &XOnlyPublicKey,
        contributions: &Contributions,
    ) -> Result<CheckedSignatures, FaultyContributions> {
        let expected: Vec<_> = self.signing.inputs_of(signer).collect();
        let got: Vec<_> = contributions
            .iter()
            .map(|contribution| usize::from(contribution.input_index()))
            .collect();
        if expected != got {
            return Err(FaultyContributions::Inputs { expected, got });
        }
        let mut checked = BTreeMap::new();
        for contribution in contributions.iter() {
            let Contribution::Signature {
                input_index,
                signature,
            } = contribution;
            let input_index = usize::from(*input_index);
            self.verify(secp, signer, input_index, signature)
                .map_err(|source| FaultyContributions::Invalid {
                    input_index,
                    source,
                })?;
            checked.insert(input_index, *signature);
        }
        Ok(CheckedSignatures(checked))
    }

    fn verify<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        signer: &XOnlyPublicKey,
        input_index: usize,
        signature: &Signature,
    ) -> Result<(), WitnessError> {
        let unknown = WitnessError::UnknownSigner(SignerIndex(u16::MAX));
        let input = self.signing.inputs.get(input_index).ok_or(unknown)?;
        let sighash = self.sighashes.get(input_index).ok_or(unknown)?;
        let position = input.roster.position(signer).ok_or(unknown)?;
        verify_signature(secp, &input.roster, position, sighash, signature)
    }

    /// How things stand, by who signed and who will not. Counted for each input by its own roster.
    pub fn standing(
        &self,
        signed: &BTreeSet<XOnlyPublicKey>,
        unwilling: &BTreeSet<XOnlyPublicKey>,
    ) -> Standing {
        let mut standing = Standing::Complete;
        for input in &self.signing.inputs {
            let threshold = usize::from(input.roster.threshold().0);
            let of = |set: &BTreeSet<XOnlyPublicKey>| {
                let signers = input.roster.signers().iter();
                signers.filter(|signer| set.contains(signer)).count()
            };
            let willing = input.roster.signers().len().saturating_sub(of(unwilling));
            if of(signed) >= threshold {
                continue;
            }
            if willing < threshold {
                return Standing::Lost;
            }
            standing = Standing::Open;
        }
        standing
    }

    /// The final transaction. Of each input's signers the first `threshold` in roster order are
    /// used.
    pub fn complete(
        &self,
        signatures: &BTreeMap<XOnlyPublicKey, CheckedSignatures>,
    ) -> Result<Transaction, CompleteError> {
        let mut transaction = self.signing.transaction.clone();
        let inputs = transaction
            .input
            .iter_mut()
            .zip(&self.signing.inputs)
            .enumerate();
        for (input_index, (unsigned, input)) in inputs {
            let of_input: BTreeMap<_, _> = signatures
                .iter()
                .filter_map(|(signer, checked)| {
                    let position = input.roster.position(signer)?;
                    Some((position, *checked.0.get(&input_index)?))
                })
                .collect();
            unsigned.witness =
                quorum_witness(&input.spend, &of_input).map_err(|source| CompleteError {
                    input_index,
                    source,
                })?;
        }
        Ok(transaction)
    }
}

impl CheckedSignatures {
    /// The signatures one after the other, as they are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .values()
            .flat_map(|signature| *signature.as_ref())
            .collect()
    }

    /// Reads back what [`CheckedSignatures::to_bytes`] gave for this signer and transaction; none
    /// if it is not that.
    pub fn from_bytes(signing: &Signing, signer: &XOnlyPublicKey, bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<SIGNATURE_BYTES>();
        let inputs: Vec<_> = signing.inputs_of(signer).collect();
        if !rest.is_empty() || chunks.len() != inputs.len() {
            return None;
        }
        let signatures = inputs.into_iter().zip(chunks).map(|(input_index, bytes)| {
            let signature = Signature::from_slice(bytes).ok()?;
            Some((input_index, signature))
        });
        signatures.collect::<Option<_>>().map(Self)
    }
}
