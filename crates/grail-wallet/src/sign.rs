//! Signatures over the wallet's own outputs.

use bitcoin::hashes::Hash;
use bitcoin::key::TweakedPublicKey;
use bitcoin::secp256k1::{All, Message, Secp256k1};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::{OutPoint, ScriptBuf, TapSighashType, Transaction, TxOut, Witness, taproot};

use crate::holdings::Coin;
use crate::seed::Seed;

/// Why the wallet cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The mnemonic's key does not fit the output.
    #[error("output {0} is not of this mnemonic")]
    ForeignOutput(OutPoint),
    /// The digest could not be computed.
    #[error("{0}")]
    Sighash(String),
}

impl SignError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ForeignOutput(_) => "foreign-output",
            Self::Sighash(_) => "sighash",
        }
    }
}

/// Signs the wallet's inputs by key (BIP-341, default sighash type). `foreign` are the outputs
/// spent by the inputs in front of the wallet's; their witnesses are left as they are.
pub fn sign(
    secp: &Secp256k1<All>,
    seed: &Seed,
    mut transaction: Transaction,
    foreign: &[TxOut],
    coins: &[Coin],
) -> Result<Transaction, SignError> {
    let own = coins.iter().map(|coin| coin.output.clone());
    let prevouts: Vec<TxOut> = foreign.iter().cloned().chain(own).collect();
    let mut witnesses = Vec::with_capacity(coins.len());
    let mut cache = SighashCache::new(&transaction);
    for (index, coin) in (foreign.len()..).zip(coins) {
        let key = seed.output_key(secp, coin.branch, coin.index);
        let script = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::from_keypair(key));
        if script != coin.output.script_pubkey {
            return Err(SignError::ForeignOutput(coin.outpoint));
        }
        let sighash = cache
            .taproot_key_spend_signature_hash(
                index,
                &Prevouts::All(&prevouts),
                TapSighashType::Default,
            )
            .map_err(|error| SignError::Sighash(error.to_string()))?;
        let message = Message::from_digest(sighash.to_byte_array());
        let signature = taproot::Signature {
            signature: secp.sign_schnorr_no_aux_rand(&message, &key.to_keypair()),
            sighash_type: TapSighashType::Default,
        };
        witnesses.push(Witness::p2tr_key_spend(&signature));
    }
    let own_inputs = transaction.input.iter_mut().skip(foreign.len());
    for (input, witness) in own_inputs.zip(witnesses) {
        input.witness = witness;
    }
    Ok(transaction)
}
