//! A user with one key, for tests: asks the API, keeps receipts, spends by what the chain says.
//!
//! The demo's users go by the command line; this one is faster and can be told to do wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::key::{TapTweak, TweakedKeypair};
use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Weight, Witness, XOnlyPublicKey,
};
use grail_api::client::Client;
use grail_api::{CreatePegIn, CreatePegOut, CreateSponsor, IdempotencyKey, Kind, Receipt, Request};
use grail_attest::Protocol;
use grail_charms::{token_amount, transfer_spell};
use grail_prover::{BRIDGE_WASM, MockProver, ProveRequest, Prover as _};
use grail_spell::token_app;
use grail_types::{Bridge, MockAllowed, Network, RequestId, TaggedHasher, Terms};
use grail_witness::Reclaim;

use crate::ledger::Ledger;
use crate::miner::sign_key_spend;

/// What requests of these users may contribute to a fee.
pub const FEE_CAP: Amount = Amount::from_sat(10_000);
/// What they pay for their own transactions, unless told otherwise.
const FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// A request that was made, with all that is needed later.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub id: RequestId,
    /// Direction.
    pub kind: Kind,
    /// What the API answered, checked.
    pub receipt: Receipt,
    /// Where the deposit goes.
    pub deposit_script: ScriptBuf,
}

impl Asked {
    /// The request of a receipt, if that holds together.
    pub fn of_receipt(receipt: Receipt) -> Result<Self> {
        let checked = receipt.check()?;
        Ok(Self {
            id: checked.request(),
            kind: receipt.kind,
            deposit_script: checked.script_pubkey().clone(),
            receipt,
        })
    }

    /// The terms that the address commits to.
    pub const fn terms(&self) -> &Terms {
        &self.receipt.terms
    }
}

/// A user.
pub struct User {
    secp: Secp256k1<All>,
    keypair: Keypair,
    tweaked: TweakedKeypair,
    counter: AtomicU64,
    name: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl User {
    /// The user of this name: always the same key.
    pub fn new(name: &str) -> Self {
        let secp = Secp256k1::new();
        let secret = TaggedHasher::new("grail/test-user/v1")
            .bytes(name.as_bytes())
            .finish();
        let keypair = Keypair::from_seckey_slice(&secp, &secret).expect("a hash is a key");
        Self {
            tweaked: keypair.tap_tweak(&secp, None),
            secp,
            keypair,
            counter: AtomicU64::new(0),
            name: name.to_owned(),
        }
    }

    /// Where BTC and zkBTC go.
    pub fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr_tweaked(self.tweaked.public_parts().0)
    }

    /// The same as an address.
    pub fn address(&self) -> String {
        Address::from_script(&self.script(), bitcoin::Network::Regtest)
            .expect("a taproot script")
            .to_string()
    }

    /// The key for the way out.
    pub fn reclaim_key(&self) -> XOnlyPublicKey {
        self.keypair.x_only_public_key().0
    }

    /// Asks for zkBTC.
    pub fn ask_peg_in(&self, api: &Client) -> Result<Asked> {
        self.ask_peg_in_with(api, FEE_CAP)
    }

    /// Asks for zkBTC with a fee cap of one's own.
    pub fn ask_peg_in_with(&self, api: &Client, fee_cap: Amount) -> Result<Asked> {
        let body = CreatePegIn {
            recipient_address: self.address(),
            reclaim_public_key: self.reclaim_key().to_string(),
            fee_cap_sat: fee_cap.to_sat(),
            reclaim_delay: None,
            amount_sat: None,
            nonce: None,
        };
        self.check(api.create_peg_in(&body, &self.idempotency_key()?)?)
    }

    /// Asks to pay for a step of a rotation.
    pub fn ask_sponsor(&self, api: &Client, kind: Kind, most: Amount) -> Result<Asked> {
        let body = CreateSponsor {
            kind,
            reclaim_public_key: self.reclaim_key().to_string(),
            fee_cap_sat: most.to_sat(),
            reclaim_delay: None,
            amount_sat: None,
            nonce: None,
        };
        let request = api.create_sponsor(&body, &self.idempotency_key()?)?;
        let asked = Asked::of_receipt(request.receipt)?;
        ensure!(asked.terms().kind == kind.into(), "another kind");
        Ok(asked)
    }

    /// Asks for BTC.
    pub fn ask_peg_out(&self, api: &Client) -> Result<Asked> {
        let body = CreatePegOut {
            payout_address: self.address(),
            reclaim_public_key: self.reclaim_key().to_string(),
            fee_cap_sat: FEE_CAP.to_sat(),
            reclaim_delay: None,
            amount_sat: None,
            nonce: None,
        };
        self.check(api.create_peg_out(&body, &self.idempotency_key()?)?)
    }

    fn idempotency_key(&self) -> Result<IdempotencyKey> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        Ok(IdempotencyKey::parse(Some(
            format!("{}-{number}", self.name).as_bytes(),
        ))?)
    }

    fn check(&self, request: Request) -> Result<Asked> {
        let asked = Asked::of_receipt(request.receipt)?;
        ensure!(asked.id == request.id, "a receipt of another request");
        ensure!(
            asked.receipt.deposit_address == request.deposit_address,
            "another address than the receipt's"
        );
        let terms = asked.terms();
        ensure!(
            *terms.destination.script() == *self.script()
                && terms.reclaim_key == self.reclaim_key(),
            "terms that were not asked for"
        );
        Ok(asked)
    }

    /// zkBTC by the chain.
    pub fn tokens(&self, ledger: &Ledger, bridge: &Bridge) -> Result<BTreeMap<OutPoint, u64>> {
        let token = token_app(&bridge.app);
        let script = self.script();
        let mut found = BTreeMap::new();
        for (outpoint, _) in ledger.unspent_at(&script) {
            let amount = token_amount(&ledger.charms(&outpoint), &token)?;
            if amount > 0 {
                found.insert(outpoint, amount);
            }
        }
        Ok(found)
    }

    /// BTC without charms by the chain.
    pub fn coins(&self, ledger: &Ledger) -> BTreeMap<OutPoint, Amount> {
        ledger
            .unspent_at(&self.script())
            .filter(|(outpoint, _)| ledger.charms(outpoint).is_empty())
            .map(|(outpoint, output)| (outpoint, output.value))
            .collect()
    }

    /// A transaction that pays zkBTC: outputs of `to`, zkBTC left over, spell, change. Spends
    /// confirmed outputs.
    pub fn transfer(
        &self,
        ledger: &Ledger,
        protocol: &Protocol,
        to: &[(ScriptBuf, u64)],
    ) -> Result<Transaction> {
        let wanted: u64 = to.iter().map(|(_, amount)| amount).sum();
        let (mut tokens, mut token_inputs) = (0_u64, Vec::new());
        for (outpoint, amount) in self.tokens(ledger, protocol.bridge())? {
            if tokens < wanted {
                tokens += amount;
                token_inputs.push(outpoint);
            }
        }
        let rest = tokens.checked_sub(wanted).with_context(|| {
            format!(
                "{} has {tokens} sat of zkBTC, wants to send {wanted}",
                self.name
            )
        })?;
        let mut paid = to.to_vec();
        if rest > 0 {
            paid.push((self.script(), rest));
        }
        let amounts: Vec<u64> = paid.iter().map(|(_, amount)| *amount).collect();
        let outputs = paid
            .into_iter()
            .map(|(script_pubkey, _)| TxOut {
                value: protocol.params().carrier,
                script_pubkey,
            })
            .collect();
        let mut transaction = unsigned(token_inputs, outputs);
        // The whole purse: simple, and tests have small ones.
        transaction
            .input
            .extend(self.coins(ledger).into_keys().map(input));
        let spell = transfer_spell(&transaction, &protocol.bridge().app, &amounts)?;
        let needed: BTreeSet<Txid> = transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        let previous = needed.iter().filter_map(|txid| ledger.transaction(txid));
        let request = ProveRequest::of_bridge(spell, previous, BRIDGE_WASM.to_vec());
        let allowed = MockAllowed::on(Network::Regtest).context("mock proofs on regtest")?;
        let proven = MockProver::new(allowed).prove(&request)?;
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: proven.op_return,
        });
        self.add_change_and_sign(ledger, transaction)
    }

    /// A transaction that pays BTC. Spends confirmed outputs.
    pub fn pay(&self, ledger: &Ledger, to: ScriptBuf, amount: Amount) -> Result<Transaction> {
        let output = TxOut {
            value: amount,
            script_pubkey: to,
        };
        let coins = self.coins(ledger).into_keys().collect();
        self.add_change_and_sign(ledger, unsigned(coins, vec![output]))
    }

    fn add_change_and_sign(
        &self,
        ledger: &Ledger,
        mut transaction: Transaction,
    ) -> Result<Transaction> {
        let previous: Vec<TxOut> = transaction
            .input
            .iter()
            .map(|input| ledger.output(&input.previous_output).cloned())
            .collect::<Option<_>>()
            .context("an input that the chain does not hold")?;
        let spent: Amount = previous.iter().map(|output| output.value).sum();
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: self.script(),
        });
        // Per input: item count, length, signature; once: marker and flag.
        let witnesses = 66 * transaction.input.len() as u64 + 2;
        let weight = transaction.weight() + Weight::from_wu(witnesses);
        let fee = FEE_RATE.fee_wu(weight).context("a fee")?;
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        let change = spent
            .checked_sub(paid)
            .and_then(|rest| rest.checked_sub(fee))
            .with_context(|| format!("{} has too little BTC for the fee", self.name))?;
        let dust = self.script().minimal_non_dust();
        match transaction.output.last_mut() {
            Some(output) if change >= dust => output.value = change,
            _ => _ = transaction.output.pop(),
        }
        for index in 0..transaction.input.len() {
            sign_key_spend(&mut transaction, index, &previous, &self.tweaked);
        }
        Ok(transaction)
    }

    /// Takes a deposit back; valid once it has its delay. Needs no server.
    pub fn reclaim(&self, asked: &Asked, outpoint: OutPoint, value: Amount) -> Result<Transaction> {
        let receipt = asked.receipt.check()?;
        let reclaim = Reclaim {
            internal_key: receipt.internal_key(),
            terms: receipt.terms(),
            roster: receipt.roster(),
            outpoint,
            output: TxOut {
                value,
                script_pubkey: receipt.script_pubkey().clone(),
            },
        };
        let transaction = reclaim.unsigned(&self.secp, self.script(), FEE_RATE, Weight::ZERO)?;
        Ok(reclaim.sign(&self.secp, transaction, &self.keypair)?)
    }
}

fn unsigned(inputs: Vec<OutPoint>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.into_iter().map(input).collect(),
        output,
    }
}

fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}
