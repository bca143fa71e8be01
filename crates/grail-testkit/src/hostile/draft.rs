//! A settlement in pieces: honest as it comes, to be changed and proven again.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, FeeRate, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid};
use charms_data::{App, Data, TxId};
use grail_bridge_contract::{RosterState, check};
use grail_charms::{PrevTx, token_amount};
use grail_prover::{MockProver, charms_transaction};
use grail_spell::{NormalizedCharms, NormalizedSpell, nft_app, token_app};
use grail_txbuild::{Coin, Deposit, SettlementPlan, SettlementRequest};
use grail_types::{
    BoundedVec, Bridge, Governance, Kind, MockAllowed, Network, Params, Roster, Terms,
};
use grail_wire::{Action, Proposal};

use crate::cluster::Deployment;
use crate::ledger::{Audit, Ledger};
use crate::user::Asked;

/// Bytes of a mock proof.
pub(super) const PROOF_BYTES: usize = 192;
/// What settlements are planned for.
pub(super) const FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// A settlement without the output of its spell.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The bridge.
    pub bridge: Bridge,
    /// Protocol parameters.
    pub params: Params,
    /// Who administers the bridge.
    pub governance: Governance,
    /// The roster that is asked.
    pub roster: Roster,
    /// The transaction.
    pub transaction: Transaction,
    /// The spell, in wire form.
    pub spell: NormalizedSpell,
    /// The transactions behind the inputs.
    pub previous: Vec<Transaction>,
    /// The terms behind the deposits.
    pub requests: Vec<Terms>,
}

impl Draft {
    /// What an honest backend would make of the deposits of `asked`, by the chain.
    pub fn honest(
        ledger: &Ledger,
        audit: &Audit,
        deployment: &Deployment,
        asked: &[Asked],
    ) -> Result<Self> {
        let (bridge, params) = (deployment.protocol.bridge(), deployment.protocol.params());
        let coin = |outpoint: OutPoint| {
            let output = ledger.output(&outpoint).cloned();
            output.map(|output| Coin { outpoint, output })
        };
        let deposits = asked
            .iter()
            .map(|asked| deposit(ledger, bridge, asked.terms(), &asked.deposit_script))
            .collect::<Result<Vec<_>>>()?;
        let request = SettlementRequest {
            bridge,
            params,
            roster: &deployment.roster,
            former: None,
            governance: deployment.protocol.governance(),
            state: &audit.state,
            nft: coin(audit.nft).context("the NFT's output")?,
            nft_confirmations: 0,
            vault: audit.vault.keys().find_map(|at| coin(*at)),
            deposits,
            fee_rate: FEE_RATE,
            deficit: Amount::ZERO,
            proof_bytes: PROOF_BYTES,
            prover_fee: None,
        };
        let mut draft = Self::of_request(request, deployment.protocol.governance())?;
        draft.gather_previous(ledger);
        Ok(draft)
    }

    /// What a request for a settlement is planned to be, without the transactions behind its
    /// inputs.
    pub(super) fn of_request(
        request: SettlementRequest<'_>,
        governance: &Governance,
    ) -> Result<Self> {
        let (bridge, params) = (*request.bridge, request.params.clone());
        let roster = request.roster.clone();
        let SettlementPlan {
            transaction,
            spell,
            requests,
            left_out,
            ..
        } = request.plan(&Secp256k1::new())?;
        ensure!(left_out.is_empty(), "left out: {left_out:?}");
        Ok(Self {
            bridge,
            params,
            governance: governance.clone(),
            roster,
            transaction,
            spell: spell.to_wire(),
            previous: Vec::new(),
            requests,
        })
    }

    /// Makes `previous` what the inputs need.
    pub fn gather_previous(&mut self, ledger: &Ledger) {
        let needed: BTreeSet<Txid> = self
            .transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        self.previous = needed
            .iter()
            .filter_map(|txid| ledger.transaction(txid).cloned())
            .collect();
    }

    /// The proposal, with a proof that nobody who checks would have made: on regtest the mock's key
    /// is public.
    pub fn propose(&self) -> Result<Proposal> {
        let requests = BoundedVec::new(self.requests.clone())?;
        self.propose_as(Action::Settlement(grail_wire::SettlementRequest {
            requests,
            former: None,
        }))
    }

    /// The same as another action than a settlement.
    pub(super) fn propose_as(&self, action: Action) -> Result<Proposal> {
        let mut transaction = self.transaction.clone();
        transaction.output.push(forged(&self.committed()?)?);
        Ok(Proposal::new(
            self.roster.epoch(),
            self.params.clone(),
            self.governance.clone(),
            transaction,
            &self.previous,
            action,
        )?)
    }

    /// The code with which the contract refuses it, if it does: an honest prover would not prove it
    /// then.
    pub fn contract_refuses(&self) -> Result<Option<&'static str>> {
        let spell = self.committed()?;
        let mock = MockAllowed::on(Network::Regtest);
        let previous = self
            .previous
            .iter()
            .map(|made| PrevTx::read_committed(made, mock))
            .map(|made| (TxId(made.txid().to_byte_array()), made))
            .collect();
        let view = charms_transaction(&spell, &previous).context("a view for the contract")?;
        let judged = spell
            .app_public_inputs
            .iter()
            .map(|(app, input)| check(app, &view, input, &Data::empty()))
            .find_map(Result::err);
        Ok(judged.map(|violation| violation.code()))
    }

    fn committed(&self) -> Result<NormalizedSpell> {
        Ok(self.spell.clone().committed_to(&self.transaction)?)
    }

    /// Outputs ahead of the requests': the NFT's and the vault's.
    pub fn first_item(&self) -> usize {
        self.transaction.output.len() - self.requests.len()
    }

    /// The position among the requests of the first of `kind`.
    pub fn position(&self, kind: Kind) -> Result<usize> {
        let position = self.requests.iter().position(|terms| terms.kind == kind);
        position.context("no request of that kind")
    }

    /// zkBTC on output `index`.
    pub fn tokens(&self, index: usize) -> Result<u64> {
        let vout = u32::try_from(index)?;
        let amount = token_amount(&self.spell.charms_at(vout), &self.token())?;
        Ok(amount)
    }

    /// Puts zkBTC on output `index`.
    pub fn set_tokens(&mut self, index: usize, amount: u64) -> Result<()> {
        let token = self.token();
        self.put(index, &token, Data::from(&amount))
    }

    /// The state on the NFT.
    pub fn state(&self) -> Result<RosterState> {
        let charms = self.spell.charms_at(0);
        let data = charms.get(&self.nft()).context("the NFT on output 0")?;
        Ok(RosterState::from_data(data)?)
    }

    /// Changes the state on the NFT.
    pub fn set_state(&mut self, state: &RosterState) -> Result<()> {
        let nft = self.nft();
        self.put(0, &nft, state.to_data())
    }

    /// Takes an app and all its charms out of the spell.
    pub fn drop_app(&mut self, dropped: &App) {
        let apps: Vec<App> = self.spell.app_public_inputs.keys().cloned().collect();
        self.spell.app_public_inputs.remove(dropped);
        let spell = &self.spell;
        // Charms refer to apps by position.
        let kept = |charms: &NormalizedCharms| -> NormalizedCharms {
            charms
                .iter()
                .filter_map(|(index, data)| {
                    let app = apps.get(usize::try_from(*index).ok()?)?;
                    Some((spell.app_index(app)?, data.clone()))
                })
                .collect()
        };
        self.spell.tx.outs = spell.tx.outs.iter().map(kept).collect();
    }

    /// The roster NFT's app.
    pub fn nft(&self) -> App {
        nft_app(&self.bridge.app)
    }

    fn token(&self) -> App {
        token_app(&self.bridge.app)
    }

    fn put(&mut self, index: usize, app: &App, data: Data) -> Result<()> {
        let app_index = self.spell.app_index(app).context("an app of the spell")?;
        let charms = self.spell.tx.outs.get_mut(index);
        charms
            .context("an output of the spell")?
            .insert(app_index, data);
        Ok(())
    }

    /// Makes input `index` spend something else.
    pub(super) fn spend(&mut self, index: usize, outpoint: OutPoint) -> Result<()> {
        let input = self.transaction.input.get_mut(index);
        input.context("an input")?.previous_output = outpoint;
        Ok(())
    }

    /// An output's coin, to be changed.
    pub fn value(&mut self, index: usize) -> Result<&mut Amount> {
        let output = self.transaction.output.get_mut(index);
        Ok(&mut output.context("an output")?.value)
    }

    /// Where an output goes, to be changed.
    pub fn script(&mut self, index: usize) -> Result<&mut ScriptBuf> {
        let output = self.transaction.output.get_mut(index);
        Ok(&mut output.context("an output")?.script_pubkey)
    }
}

/// The output of a spell that nobody proved.
pub(super) fn forged(spell: &NormalizedSpell) -> Result<TxOut> {
    let allowed = MockAllowed::on(Network::Regtest).context("mock proofs on regtest")?;
    Ok(TxOut {
        value: Amount::ZERO,
        script_pubkey: MockProver::new(allowed).prove_unchecked(spell)?.op_return,
    })
}

/// The deposit at `script`, which these terms lead to.
pub(super) fn deposit(
    ledger: &Ledger,
    bridge: &Bridge,
    terms: &Terms,
    script: &Script,
) -> Result<Deposit> {
    let (outpoint, output) = ledger
        .unspent_at(script)
        .next()
        .with_context(|| format!("request {} has no deposit", terms.id()))?;
    let made = ledger
        .transaction(&outpoint.txid)
        .context("the deposit's transaction")?;
    Ok(Deposit {
        terms: terms.clone(),
        coin: Coin {
            outpoint,
            output: output.clone(),
        },
        token: token_amount(&ledger.charms(&outpoint), &token_app(&bridge.app))?,
        previous_bytes: made.total_size(),
    })
}
