//! The built-in key that blocks pay to, and payments from it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak, TweakedKeypair};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::Signature;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight,
    Witness, absolute,
};
use grail_chain::{BitcoinCore, BlockSource, Chain, View};

/// Not secret: it guards regtest money only.
const MINER_SECRET: [u8; 32] = [0x11; 32];
/// Coinbases can be spent by a transaction in the block after this many confirmations.
const COINBASE_MATURITY: u32 = 100;
/// Well above the relay floor of any version, and of no consequence.
const FUNDING_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(5);
/// Unconfirmed change is spent this deep: relay of older versions allows 25 in a row.
const CHANGE_DEPTH_MAX: u32 = 15;
/// Less is left to the miner.
const CHANGE_MIN: Amount = Amount::from_sat(10_000);
/// Inputs of one payment: keeps it standard.
const INPUTS_MAX: usize = 500;
/// A taproot key spend with a default-sighash signature.
const KEY_SPEND_WEIGHT: Weight = Weight::from_wu(4 * 41 + 66);

/// A coin of the built-in key.
#[derive(Debug, Clone)]
pub(crate) struct MinerCoin {
    /// Its name.
    outpoint: OutPoint,
    /// The output.
    output: TxOut,
    /// Unconfirmed transactions that it rested on when made; 0 for a coinbase.
    depth: u32,
    /// Height of the tip from which it can be spent.
    mature_height: u32,
}

/// The key and its coins.
#[derive(Debug)]
pub(crate) struct Miner {
    keypair: TweakedKeypair,
    coins: Mutex<Vec<MinerCoin>>,
}

impl Default for Miner {
    fn default() -> Self {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&MINER_SECRET).expect("constant in range");
        let keypair = Keypair::from_secret_key(&secp, &secret).tap_tweak(&secp, None);
        Self {
            keypair,
            coins: Mutex::default(),
        }
    }
}

impl Miner {
    pub(crate) fn script(&self) -> ScriptBuf {
        let (key, _) = self.keypair.public_parts();
        ScriptBuf::new_p2tr_tweaked(key)
    }

    pub(crate) fn note_coinbase(&self, block: &Block, height: u32) {
        let Some(coinbase) = block.coinbase() else {
            return;
        };
        let mature_height = height + COINBASE_MATURITY - 1;
        let rewards = self.own_outputs(coinbase, 0, mature_height);
        self.lock_coins().extend(rewards);
    }

    /// Takes note of a coin of the built-in key in the chain; `coinbase_height` when a coinbase
    /// made it.
    pub(crate) fn note_coin(
        &self,
        outpoint: OutPoint,
        value: Amount,
        coinbase_height: Option<u32>,
    ) {
        let output = TxOut {
            value,
            script_pubkey: self.script(),
        };
        self.lock_coins().push(MinerCoin {
            outpoint,
            output,
            depth: 0,
            mature_height: coinbase_height.map_or(0, |height| height + COINBASE_MATURITY - 1),
        });
    }

    fn lock_coins(&self) -> MutexGuard<'_, Vec<MinerCoin>> {
        // A list of coins that may or may not exist is sound whatever a panicking test was doing.
        self.coins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_outputs(
        &self,
        transaction: &Transaction,
        depth: u32,
        mature_height: u32,
    ) -> Vec<MinerCoin> {
        let (script, txid) = (self.script(), transaction.compute_txid());
        (0u32..)
            .zip(&transaction.output)
            .filter(|(_, output)| output.script_pubkey == script && output.value > CHANGE_MIN)
            .map(|(vout, output)| MinerCoin {
                outpoint: OutPoint { txid, vout },
                output: output.clone(),
                depth,
                mature_height,
            })
            .collect()
    }

    /// Sends a payment of `outputs`, in their order, then change. `None` when the spendable coins
    /// do not suffice.
    pub(crate) fn pay(&self, outputs: &[TxOut], chain: &BitcoinCore) -> Option<Txid> {
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: Vec::new(),
            output: outputs.to_vec(),
        };
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: self.script(),
        });
        let paid: Amount = outputs.iter().map(|output| output.value).sum();

        let (mut chosen, mut total, mut depth) = (Vec::new(), Amount::ZERO, 0);
        let needed = |inputs: usize| {
            let inputs = KEY_SPEND_WEIGHT * u64::try_from(inputs).expect("few");
            // Two more for the segwit marker and flag.
            let weight = transaction.weight() + inputs + Weight::from_wu(2 + 8);
            paid + FUNDING_FEE_RATE.fee_wu(weight).expect("small")
        };
        let tip_height = chain.tip().expect("tip of the node").height;
        // Held until the payment is sent, so that two payments never choose the same coin.
        let mut coins = self.lock_coins();
        // The oldest coin first; coins that a reorg or a foreign spend took are dropped on the way.
        coins.retain(|coin| {
            if chosen.len() == INPUTS_MAX || (!chosen.is_empty() && total >= needed(chosen.len())) {
                return true;
            }
            if coin.mature_height > tip_height {
                return true;
            }
            let status = chain
                .tx_out(&coin.outpoint, View::WithMempool)
                .expect("gettxout");
            let Some(status) = status else { return false };
            let coin_depth = if status.confirmations > 0 {
                0
            } else {
                coin.depth
            };
            if coin_depth < CHANGE_DEPTH_MAX {
                total += coin.output.value;
                depth = depth.max(coin_depth);
                chosen.push(coin.clone());
            }
            true
        });

        let change = total.checked_sub(needed(chosen.len()))?;
        if chosen.is_empty() {
            return None;
        }
        if change > CHANGE_MIN {
            transaction.output.last_mut().expect("pushed above").value = change;
        } else {
            transaction.output.pop();
        }
        transaction.input = chosen
            .iter()
            .map(|coin| unsigned_input(coin.outpoint))
            .collect();
        let previous: Vec<TxOut> = chosen.into_iter().map(|coin| coin.output).collect();
        for index in 0..transaction.input.len() {
            sign_key_spend(&mut transaction, index, &previous, &self.keypair);
        }
        let txid = chain
            .send(&transaction)
            .unwrap_or_else(|error| panic!("funding: {error}"));
        // The spent coins go at the next payment, when the node no longer has them.
        coins.extend(self.own_outputs(&transaction, depth + 1, 0));
        Some(txid)
    }
}

fn unsigned_input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

/// Signs input `index` as a taproot key spend. `previous` are the outputs that the inputs spend, in
/// their order.
pub fn sign_key_spend(
    transaction: &mut Transaction,
    index: usize,
    previous: &[TxOut],
    keypair: &TweakedKeypair,
) {
    let sighash = SighashCache::new(&*transaction)
        .taproot_key_spend_signature_hash(index, &Prevouts::All(previous), TapSighashType::Default)
        .expect("an input and all its previous outputs");
    let signature = Secp256k1::new().sign_schnorr_no_aux_rand(
        &Message::from_digest(sighash.to_byte_array()),
        &keypair.to_keypair(),
    );
    let signature = Signature {
        signature,
        sighash_type: TapSighashType::Default,
    };
    transaction.input[index].witness = Witness::p2tr_key_spend(&signature);
}
