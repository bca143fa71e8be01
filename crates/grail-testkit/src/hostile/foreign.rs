//! What does not belong to the bridge, brought to where it lies: NFTs and parameters of an
//! attacker's own.
//!
//! An operator looks at no chain. It knows its bridge from birth, and that must be enough to see
//! that an NFT at the very address of its roster, under parameters whose hash it carries, is not
//! the bridge's.

use anyhow::{Context, Result, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut};
use grail_bridge_contract::RosterState;
use grail_charms::{deployment_spell, roster_state};
use grail_policy::judge;
use grail_script::{DepositTree, InternalKey, VaultTree};
use grail_spell::deployment_identity;
use grail_txbuild::{Coin, Deposit, SettlementRequest, first_state};
use grail_types::{Bridge, BridgeApp, Governance, Kind, Network, Terms};
use grail_wire::RefusalCode;

use super::attacks::{Attack, input};
use super::draft::{Draft, FEE_RATE, PROOF_BYTES};
use crate::ledger::Ledger;

/// What the attacker deposits with a bridge of his own.
const DEPOSIT: Amount = Amount::from_sat(1_000_000);
/// The fees that he would allow: as high as any parameters can.
const FEE_RATE_MAX: FeeRate = FeeRate::from_sat_per_kwu(2_500_000);

/// Attacks on an honest settlement by somebody with an NFT made of `own`; `to` is his address.
pub(super) fn attacks(
    honest: &Draft,
    ledger: &Ledger,
    own: OutPoint,
    to: &ScriptBuf,
) -> Result<Vec<Attack>> {
    let attacker = Attacker {
        honest,
        ledger,
        own,
        to,
        vault: VaultTree::new(
            &Secp256k1::new(),
            InternalKey::Nums,
            &honest.roster,
            &honest.governance,
        ),
    };
    Ok(vec![
        Attack::of(
            "a bridge of one's own at the roster's address",
            RefusalCode::WrongApps,
            &attacker.own_bridge()?,
        )?,
        Attack::of(
            "the vault, spent under an NFT of one's own",
            RefusalCode::NftMissing,
            &attacker.own_nft_before_the_vault()?,
        )?,
        Attack::of(
            "an NFT bound to the parameters of another network",
            RefusalCode::NftParams,
            &attacker.other_network()?,
        )?,
        Attack::of(
            "parameters of one's own",
            RefusalCode::NftParams,
            &attacker.own_params()?,
        )?,
        Attack::of(
            "administrators of one's own",
            RefusalCode::NftGovernance,
            &attacker.own_administrators()?,
        )?,
        Attack::of(
            "an NFT that lies at one's own address",
            RefusalCode::UnknownTemplate,
            &attacker.nft_at_own_address()?,
        )?,
    ])
}

struct Attacker<'a> {
    honest: &'a Draft,
    ledger: &'a Ledger,
    own: OutPoint,
    to: &'a ScriptBuf,
    vault: VaultTree,
}

impl Attacker<'_> {
    /// The attacker's bridge: of the same contract, and with the same roster.
    fn bridge(&self) -> Bridge {
        Bridge {
            network: self.honest.bridge.network,
            app: BridgeApp {
                identity: deployment_identity(self.own),
                ..self.honest.bridge.app
            },
        }
    }

    /// A settlement that is in order in every respect, of another bridge.
    fn own_bridge(&self) -> Result<Draft> {
        let secp = Secp256k1::new();
        let (bridge, params, roster) = (self.bridge(), &self.honest.params, &self.honest.roster);
        let peg_in = self.honest.requests.get(self.honest.position(Kind::PegIn)?);
        let terms = Terms {
            bridge: bridge.app,
            destination: self.to.clone().try_into()?,
            ..peg_in.context("a peg-in")?.clone()
        };
        let state = first_state(
            params.hash(&bridge),
            self.state()?.governance,
            roster,
            &self.vault,
        );
        let deposit = TxOut {
            value: DEPOSIT,
            script_pubkey: DepositTree::new(&secp, InternalKey::Nums, &terms, roster).script_pubkey,
        };
        let made = self.forge(&bridge.app, &state, vec![self.nft_output(), deposit])?;
        let request = SettlementRequest {
            bridge: &bridge,
            params,
            roster,
            former: None,
            governance: &self.honest.governance,
            state: &state,
            nft: coin(&made, 0)?,
            nft_confirmations: 0,
            vault: None,
            deposits: vec![Deposit {
                terms,
                coin: coin(&made, 1)?,
                token: 0,
                previous_bytes: made.total_size(),
            }],
            fee_rate: FEE_RATE,
            deficit: Amount::ZERO,
            proof_bytes: PROOF_BYTES,
            prover_fee: None,
        };
        let mut draft = Draft::of_request(request, &self.honest.governance)?;
        draft.previous.push(made);
        let judged = judge(&secp, &draft.propose()?, &bridge);
        ensure!(judged.is_ok(), "not in order there: {judged:?}");
        Ok(draft)
    }

    fn own_nft_before_the_vault(&self) -> Result<Draft> {
        let (bridge, params) = (self.bridge(), &self.honest.params);
        let state = RosterState {
            params_hash: params.hash(&bridge).0,
            ..self.state()?
        };
        let made = self.forge(&bridge.app, &state, vec![self.nft_output()])?;
        let mut draft = self.honest.clone();
        draft.spend(0, OutPoint::new(made.compute_txid(), 0))?;
        self.show(&mut draft, made);
        Ok(draft)
    }

    /// Administrators of the attacker's, who would consent to anything.
    fn own_administrators(&self) -> Result<Draft> {
        let keys = self.honest.governance.administrators();
        let first = keys.first().context("an administrator")?;
        Ok(Draft {
            governance: Governance::new(vec![*first], 1)?,
            ..self.honest.clone()
        })
    }

    /// Only a mock proof shows such an NFT of the real bridge.
    fn other_network(&self) -> Result<Draft> {
        let bridge = Bridge {
            network: Network::Signet,
            app: self.honest.bridge.app,
        };
        let params_hash = self.honest.params.hash(&bridge).0;
        let before = RosterState {
            params_hash,
            ..self.state()?
        };
        let after = RosterState {
            params_hash,
            ..self.honest.state()?
        };
        let mut draft = self.with_nft(&before, self.nft_output())?;
        draft.set_state(&after)?;
        Ok(draft)
    }

    fn own_params(&self) -> Result<Draft> {
        let params = self
            .honest
            .params
            .with(|values| values.fee_rate_max = FEE_RATE_MAX)?;
        Ok(Draft {
            params,
            ..self.honest.clone()
        })
    }

    /// Only a mock proof shows such an NFT of the real bridge.
    fn nft_at_own_address(&self) -> Result<Draft> {
        let output = TxOut {
            script_pubkey: self.to.clone(),
            ..self.nft_output()
        };
        self.with_nft(&self.state()?, output)
    }

    /// The honest settlement from an NFT of the real bridge that never was, and a vault beside it
    /// that holds as much as the real one.
    fn with_nft(&self, state: &RosterState, nft: TxOut) -> Result<Draft> {
        let spent = self.honest.transaction.input.get(1).context("a vault")?;
        let vault = self.ledger.output(&spent.previous_output);
        let outputs = vec![nft, vault.context("the vault's output")?.clone()];
        let made = self.forge(&self.honest.bridge.app, state, outputs)?;
        let mut draft = self.honest.clone();
        draft.spend(0, OutPoint::new(made.compute_txid(), 0))?;
        draft.spend(1, OutPoint::new(made.compute_txid(), 1))?;
        self.show(&mut draft, made);
        Ok(draft)
    }

    fn show(&self, draft: &mut Draft, made: Transaction) {
        draft.gather_previous(self.ledger);
        draft.previous.push(made);
    }

    fn nft_output(&self) -> TxOut {
        TxOut {
            value: self.honest.params.nft_carrier,
            script_pubkey: self.vault.script_pubkey.clone(),
        }
    }

    /// The state that the honest settlement starts from.
    fn state(&self) -> Result<RosterState> {
        let nft = self.honest.transaction.input.first().context("an NFT")?;
        let charms = self.ledger.charms(&nft.previous_output);
        let state = roster_state(&charms, &self.honest.nft())?;
        state.context("a state")
    }

    /// A transaction that seems to make an NFT of `app` on its first output.
    fn forge(
        &self,
        app: &BridgeApp,
        state: &RosterState,
        outputs: Vec<TxOut>,
    ) -> Result<Transaction> {
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input(self.own)],
            output: outputs,
        };
        let spell = deployment_spell(&transaction, app, state)?;
        transaction.output.push(super::draft::forged(&spell)?);
        Ok(transaction)
    }
}

/// An output of a transaction, to be spent.
pub(super) fn coin(transaction: &Transaction, vout: u32) -> Result<Coin> {
    let output = transaction.output.get(usize::try_from(vout)?);
    Ok(Coin {
        outpoint: OutPoint::new(transaction.compute_txid(), vout),
        output: output.context("an output")?.clone(),
    })
}
