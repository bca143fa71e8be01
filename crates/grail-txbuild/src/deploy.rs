//! The transaction that creates the roster NFT.

use bitcoin::{
    Amount, FeeRate, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    hashes::Hash,
    key::TapTweak,
    secp256k1::{Keypair, Message, Secp256k1, Signing, Verification},
    sighash::{Prevouts, SighashCache},
    transaction::Version,
};
use grail_bridge_contract::RosterState;
use grail_charms::{BuildError, deployment_spell};
use grail_script::{InternalKey, VaultTree, weight};
use grail_spell::{NormalizedSpell, PROTOCOL_VERSION, deployment_identity};
use grail_types::{Bridge, Governance, GovernanceError, Params, ParamsHash, Roster};

use crate::settlement::Coin;

/// Why the NFT cannot be deployed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The bridge is one that another output must deploy.
    #[error("the bridge's identity does not come from output {0}")]
    WrongIdentity(bitcoin::OutPoint),
    /// Fewer administrators could hand the bridge over than signers it takes to spend.
    #[error("governance-share: {0}")]
    Share(#[from] GovernanceError),
    /// The funding output is not the key's taproot output.
    #[error("the funding output is not the key path output of the key given")]
    WrongKey,
    /// The funding output is too small.
    #[error("expected at least {needed} to fund the deployment, got {got}")]
    Underfunded {
        /// NFT's coin, the prover's and the miners' fee, and dust.
        needed: Amount,
        /// The funding output.
        got: Amount,
    },
    /// The spell cannot be built.
    #[error(transparent)]
    Spell(#[from] BuildError),
    /// The digest could not be computed.
    #[error("sighash: {0}")]
    Sighash(String),
}

/// All that a deployment is made from.
#[derive(Clone, Debug)]
pub struct Deployment<'a> {
    /// The bridge; its identity must come from `funding`.
    pub bridge: &'a Bridge,
    /// Protocol parameters.
    pub params: &'a Params,
    /// The first roster.
    pub roster: &'a Roster,
    /// Its administrators.
    pub governance: &'a Governance,
    /// A taproot key-path output (BIP-86) of the funding key.
    pub funding: Coin,
    /// Fee rate.
    pub fee_rate: FeeRate,
}

/// A planned deployment, ready to be proven.
#[derive(Clone, Debug)]
pub struct DeploymentPlan {
    /// The transaction without spell and change.
    pub transaction: Transaction,
    /// The spell, in proving form.
    pub spell: NormalizedSpell,
    /// State on the NFT.
    pub state: RosterState,
    /// What the prover takes: none as planned, to be set from what it answers.
    pub prover_fee: Option<TxOut>,
}

/// The state that the roster NFT is deployed with: of `roster`, whose vault is `vault`, under the
/// parameters and the administrators of those hashes.
pub fn first_state(
    params_hash: ParamsHash,
    governance: [u8; 32],
    roster: &Roster,
    vault: &VaultTree,
) -> RosterState {
    RosterState {
        epoch: roster.epoch().0,
        serial: 0,
        signers: roster
            .signers()
            .iter()
            .map(bitcoin::XOnlyPublicKey::serialize)
            .collect(),
        threshold: roster.threshold().0,
        vault_script: vault.script_pubkey.to_bytes(),
        supply: 0,
        params_hash: params_hash.0,
        governance,
        attempt: 0,
        next: None,
        outflow: 0,
        // The one version that is written and read here.
        spell_min: PROTOCOL_VERSION,
        spell_max: PROTOCOL_VERSION,
    }
}

impl Deployment<'_> {
    /// Plans the transaction: input 0 the funding output, output 0 the NFT at the roster's address.
    pub fn plan<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
    ) -> Result<DeploymentPlan, DeployError> {
        if deployment_identity(self.funding.outpoint) != self.bridge.app.identity {
            return Err(DeployError::WrongIdentity(self.funding.outpoint));
        }
        // Every later roster is held to it by the operators; nobody but us looks at the first.
        self.governance.check_share(self.roster)?;
        let vault = VaultTree::new(secp, InternalKey::Nums, self.roster, self.governance);
        let state = first_state(
            self.params.hash(self.bridge),
            self.governance.hash(),
            self.roster,
            &vault,
        );
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: self.funding.outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: self.params.nft_carrier,
                script_pubkey: vault.script_pubkey,
            }],
        };
        let spell = deployment_spell(&transaction, &self.bridge.app, &state)?;
        Ok(DeploymentPlan {
            transaction,
            spell,
            state,
            prover_fee: None,
        })
    }

    /// Adds the prover's fee output, if any, the proven spell and the change, and signs with the
    /// funding key.
    pub fn finish<C: Signing + Verification>(
        &self,
        secp: &Secp256k1<C>,
        plan: DeploymentPlan,
        op_return: ScriptBuf,
        key: &Keypair,
    ) -> Result<Transaction, DeployError> {
        let tweaked = key.tap_tweak(secp, None);
        let own_script = ScriptBuf::new_p2tr(secp, key.x_only_public_key().0, None);
        if self.funding.output.script_pubkey != own_script {
            return Err(DeployError::WrongKey);
        }
        let mut transaction = plan.transaction;
        let prover_fee = plan
            .prover_fee
            .as_ref()
            .map_or(Amount::ZERO, |output| output.value);
        transaction.output.extend(plan.prover_fee);
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: op_return,
        });
        let dust = own_script.minimal_non_dust();
        let mut change = TxOut {
            value: Amount::ZERO,
            script_pubkey: own_script,
        };
        let got = self.funding.output.value;
        let fee = weight::signed(&transaction, [weight::KEY_PATH_WITNESS])
            .ok()
            .and_then(|weight| self.fee_rate.fee_wu(weight + change.weight()))
            .unwrap_or(Amount::MAX_MONEY);
        let spent = fee
            .checked_add(self.params.nft_carrier)
            .and_then(|spent| spent.checked_add(prover_fee))
            .unwrap_or(Amount::MAX_MONEY);
        let needed = spent.checked_add(dust).unwrap_or(Amount::MAX_MONEY);
        change.value = got
            .checked_sub(spent)
            .filter(|rest| *rest >= dust)
            .ok_or(DeployError::Underfunded { needed, got })?;
        transaction.output.push(change);
        let prevouts = [self.funding.output.clone()];
        let sighash = SighashCache::new(&transaction)
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&prevouts), TapSighashType::Default)
            .map_err(|error| DeployError::Sighash(error.to_string()))?;
        let message = Message::from_digest(sighash.to_byte_array());
        let signature = secp.sign_schnorr_no_aux_rand(&message, &tweaked.to_keypair());
        for input in &mut transaction.input {
            input.witness = Witness::from_slice(&[signature.as_ref().as_slice()]);
        }
        Ok(transaction)
    }
}
