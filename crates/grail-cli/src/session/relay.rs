//! Whether the node relays spells.
//!
//! A node set to small `OP_RETURN`s (`-datacarriersize`, 83 bytes by default until Bitcoin Core 29)
//! takes a peg-in's deposit and refuses every transaction that moves zkBTC. So does one that calls
//! the coin under zkBTC dust (`-dustrelayfee`).

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use grail_chain::{Chain as _, Verdict};
use grail_wallet::transfer::guessed_spell_output;

use super::Session;
use super::pay::some_script;
use super::send::DUST;
use crate::failure::Failure;

/// How Bitcoin Core refuses such an output: since version 30, and before.
const TOO_LARGE: [&str; 2] = ["datacarrier", "scriptpubkey"];
/// The coin under zkBTC where no parameters are pinned: the dust limit of taproot outputs.
const CARRIER_USUAL: u64 = 330;

impl Session {
    /// Refuses a node that does not relay spells. Asks it what it would do with a transaction that
    /// spends nothing there is: it looks at the outputs first.
    pub fn must_relay_spells(&mut self) -> Result<(), Failure> {
        let known = self.known_protocols().last();
        let carrier = known.map_or(CARRIER_USUAL, |protocol| protocol.params().carrier.to_sat());
        let output = |value, script_pubkey: ScriptBuf| TxOut {
            value: Amount::from_sat(value),
            script_pubkey,
        };
        let probe = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::from_byte_array([0x67; 32]), 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            }],
            output: vec![
                // Two: a single output of dust is a matter of fees, which are not looked at yet.
                output(carrier, some_script(self)),
                output(carrier, some_script(self)),
                output(0, guessed_spell_output()),
            ],
        };
        // A node that does not answer this says so when it matters.
        let tested = self.node()?.test_mempool_accept(&[probe]).ok();
        let verdict = tested.and_then(|mut tested| tested.pop());
        match verdict.map(|tested| tested.verdict) {
            Some(Verdict::Rejected { words, .. })
                if TOO_LARGE.iter().any(|refusal| words.starts_with(refusal)) =>
            {
                Err(Failure::new(
                    "node-refuses-spells",
                    format!(
                        "the node does not relay spells ({words}), and zkBTC moves by nothing else: set \
                         -datacarriersize=100000 on it, or use another node"
                    ),
                ))
            }
            Some(Verdict::Rejected { words, .. }) if words.starts_with(DUST) => Err(Failure::new(
                "node-refuses-dust",
                format!(
                    "the node calls the coin under zkBTC, {carrier} sat, dust: set its -dustrelayfee back to Bitcoin \
                     Core's own, or use another node"
                ),
            )),
            _ => Ok(()),
        }
    }
}
