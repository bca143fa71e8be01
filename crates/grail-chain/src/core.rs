//! The chain as a Bitcoin Core node shows it.
//!
//! Needs no wallet, no transaction index and no ZMQ. Parses only the fields it uses, so that added
//! or renamed others do not matter. Checks that what came is what was asked for (a block hashes to
//! its name); whether it is valid is the node's business.

use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{
    Amount, Block, BlockHash, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Work, Wtxid,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use grail_flow::BlockRef;

use crate::chain::{
    BlockSource, Chain, HeaderAt, MempoolKin, Spent, Tested, TxOutStatus, Verdict, View,
};
use crate::nodes::{Best, Node};
use crate::package;
use crate::rpc::{Auth, RpcClient, bad_answer};
use crate::{ChainError, Company, NodeState, SendError};

/// `RPC_INVALID_ADDRESS_OR_KEY`: block, header or transaction not known.
const CODE_NOT_FOUND: i32 = -5;
/// `RPC_INVALID_PARAMETER`: here, a height above the tip.
const CODE_BAD_PARAMETER: i32 = -8;
/// `RPC_MISC_ERROR`: here, block data pruned or not yet downloaded.
const CODE_MISC: i32 = -1;

/// `RPC_INTERNAL_ERROR`: here, fee estimation is off (`-blocksonly`).
const CODE_INTERNAL: i32 = -32_603;
/// Longest wait for a node's word about its best chain, which costs it nothing: nobody waits longer
/// to find out whether it is there.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// A Bitcoin Core node.
#[derive(Debug)]
pub struct BitcoinCore {
    rpc: RpcClient,
    /// For looks.
    looks: RpcClient,
}

impl BitcoinCore {
    /// The node at `url` (`http://host:port`). Does not connect yet.
    ///
    /// # Errors
    /// [`ChainError::BadUrl`].
    pub fn new(url: &str, auth: Auth, timeout: Duration) -> Result<Self, ChainError> {
        Ok(Self {
            looks: RpcClient::new(url, auth.clone(), timeout.min(LOOK_TIMEOUT))?,
            rpc: RpcClient::new(url, auth, timeout)?,
        })
    }

    /// For calls that the port does not have.
    pub fn rpc(&self) -> &RpcClient {
        &self.rpc
    }

    /// The node's name for its network: `main`, `testnet4`, `signet` or `regtest`.
    ///
    /// # Errors
    /// Any [`ChainError`].
    pub fn network_name(&self) -> Result<String, ChainError> {
        Ok(self.state()?.chain)
    }

    /// How far the node has come.
    ///
    /// # Errors
    /// Any [`ChainError`].
    pub fn state(&self) -> Result<NodeState, ChainError> {
        self.rpc.call("getblockchaininfo", &[])
    }

    /// Whom the node can tell of what it is handed.
    ///
    /// # Errors
    /// Any [`ChainError`].
    pub fn company(&self) -> Result<Company, ChainError> {
        self.rpc.call("getnetworkinfo", &[])
    }

    /// What the node wants more for each vbyte of a transaction that takes another's place; `None`
    /// of one that does not say.
    ///
    /// # Errors
    /// Any [`ChainError`].
    pub fn incremental_fee_rate(&self) -> Result<Option<FeeRate>, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            incrementalrelayfee: Option<f64>,
        }
        const METHOD: &str = "getmempoolinfo";
        let answer: Answer = self.rpc.call(METHOD, &[])?;
        let rate = answer.incrementalrelayfee;
        rate.map(|rate| fee_rate(METHOD, rate)).transpose()
    }

    /// A call whose subject may be unknown to the node.
    fn find<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<Option<R>, ChainError> {
        match self.rpc.call(method, params) {
            Ok(answer) => Ok(Some(answer)),
            Err(ChainError::Refused {
                code: CODE_NOT_FOUND,
                ..
            }) => Ok(None),
            Err(ChainError::Refused {
                code: CODE_MISC,
                message,
                ..
            }) => Err(not_there(method, message)),
            Err(other) => Err(other),
        }
    }
}

/// What a node says of a block that it has not, and what to do about it. The words are those of
/// Bitcoin Core's `CheckBlockDataAvailability` and `getrawtransaction`.
fn not_there(method: &str, words: String) -> ChainError {
    const ADVICE: [(&str, &str); 2] = [
        (
            "not fully downloaded",
            "it was started from a snapshot, and still fetches what is older: try again later",
        ),
        (
            "not available",
            "it prunes, and this takes a node that keeps every block",
        ),
    ];
    let what = method.to_owned();
    match ADVICE.iter().find(|(said, _)| words.contains(said)) {
        Some((_, advice)) => ChainError::NotKept {
            what,
            detail: format!("{words}; {advice}"),
        },
        None => ChainError::Unavailable {
            what,
            detail: words,
        },
    }
}

/// A script as Bitcoin Core shows it.
#[derive(Deserialize)]
struct Script {
    hex: ScriptBuf,
}

/// Reads consensus-encoded hex that `method` answered.
fn decode<T: bitcoin::consensus::Decodable>(method: &str, hex: &str) -> Result<T, ChainError> {
    deserialize_hex(hex).map_err(|error| bad_answer(method, &error.to_string()))
}

/// Reads an amount that Bitcoin Core writes as a number of bitcoins.
fn amount(method: &str, btc: f64) -> Result<Amount, ChainError> {
    Amount::from_btc(btc).map_err(|error| bad_answer(method, &format!("{btc} BTC: {error}")))
}

/// Reads a rate in BTC per 1,000 vbytes, rounded up: a rate below the node's own would not relay.
fn fee_rate(method: &str, btc_per_kvb: f64) -> Result<FeeRate, ChainError> {
    let per_kvb = amount(method, btc_per_kvb)?;
    Ok(FeeRate::from_sat_per_kwu(per_kvb.to_sat().div_ceil(4)))
}

impl BlockSource for BitcoinCore {
    fn tip(&self) -> Result<BlockRef, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            blocks: u32,
            bestblockhash: BlockHash,
        }
        // One call, so that height and hash belong together.
        let answer: Answer = self.rpc.call("getblockchaininfo", &[])?;
        Ok(BlockRef {
            height: answer.blocks,
            hash: answer.bestblockhash,
        })
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        match self.rpc.call("getblockhash", &[json!(height)]) {
            Ok(hash) => Ok(Some(hash)),
            Err(ChainError::Refused {
                code: CODE_BAD_PARAMETER,
                ..
            }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Block>, ChainError> {
        const METHOD: &str = "getblock";
        let Some(hex) = self.find::<String>(METHOD, &[json!(hash), json!(0)])? else {
            return Ok(None);
        };
        let block: Block = decode(METHOD, &hex)?;
        if block.block_hash() != *hash {
            return Err(bad_answer(
                METHOD,
                &format!("asked for block {hash}, got {}", block.block_hash()),
            ));
        }
        if !block.check_merkle_root() {
            return Err(bad_answer(
                METHOD,
                &format!("transactions of {hash} do not match it"),
            ));
        }
        Ok(Some(block))
    }
}

impl Node for BitcoinCore {
    fn best(&self, network: &str) -> Result<Best, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            chain: String,
            blocks: u32,
            bestblockhash: BlockHash,
            chainwork: String,
        }
        const METHOD: &str = "getblockchaininfo";
        let answer: Answer = self.looks.call(METHOD, &[])?;
        if answer.chain != network {
            let got = answer.chain;
            return Err(bad_answer(
                METHOD,
                &format!("expected a node on {network}, got one on {got}"),
            ));
        }
        let work = Work::from_unprefixed_hex(&answer.chainwork)
            .map_err(|error| bad_answer(METHOD, &error.to_string()))?;
        let tip = BlockRef {
            height: answer.blocks,
            hash: answer.bestblockhash,
        };
        Ok(Best { tip, work })
    }
}

impl Chain for BitcoinCore {
    fn header(&self, hash: &BlockHash) -> Result<Option<HeaderAt>, ChainError> {
        #[derive(Deserialize)]
        struct Place {
            height: u32,
            confirmations: i64,
        }
        const METHOD: &str = "getblockheader";
        let Some(hex) = self.find::<String>(METHOD, &[json!(hash), json!(false)])? else {
            return Ok(None);
        };
        let header: Header = decode(METHOD, &hex)?;
        if header.block_hash() != *hash {
            return Err(bad_answer(
                METHOD,
                &format!("asked for header {hash}, got {}", header.block_hash()),
            ));
        }
        let Some(place) = self.find::<Place>(METHOD, &[json!(hash), json!(true)])? else {
            return Ok(None);
        };
        // Core says -1 confirmations for a block off the best chain.
        let is_in_best_chain = place.confirmations > 0;
        Ok(Some(HeaderAt {
            header,
            height: place.height,
            is_in_best_chain,
        }))
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, ChainError> {
        self.rpc.call("getrawmempool", &[json!(false)])
    }

    fn mempool_tx(&self, txid: &Txid) -> Result<Option<Transaction>, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            hex: String,
            blockhash: Option<BlockHash>,
        }
        const METHOD: &str = "getrawtransaction";
        // Verbose, because a node that happens to have an index answers for mined transactions too.
        match self.find::<Answer>(METHOD, &[json!(txid), json!(1)])? {
            Some(Answer {
                hex,
                blockhash: None,
            }) => Ok(Some(checked_tx(METHOD, decode(METHOD, &hex)?, txid)?)),
            _ => Ok(None),
        }
    }

    fn mempool_kin(&self, txid: &Txid) -> Result<Option<MempoolKin>, ChainError> {
        #[derive(Deserialize)]
        struct Fees {
            descendant: f64,
        }
        #[derive(Deserialize)]
        struct Answer {
            ancestorcount: u64,
            ancestorsize: u64,
            descendantcount: u64,
            descendantsize: u64,
            fees: Fees,
        }
        const METHOD: &str = "getmempoolentry";
        let found = self.find::<Answer>(METHOD, &[json!(txid)])?;
        found
            .map(|answer| {
                Ok(MempoolKin {
                    ancestors: answer.ancestorcount,
                    ancestors_vsize: answer.ancestorsize,
                    descendants: answer.descendantcount,
                    descendants_vsize: answer.descendantsize,
                    descendants_fee: amount(METHOD, answer.fees.descendant)?,
                })
            })
            .transpose()
    }

    fn tx_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Transaction>, ChainError> {
        const METHOD: &str = "getrawtransaction";
        match self.find::<String>(METHOD, &[json!(txid), json!(0), json!(block)])? {
            Some(hex) => Ok(Some(checked_tx(METHOD, decode(METHOD, &hex)?, txid)?)),
            None => Ok(None),
        }
    }

    fn spent_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Vec<Spent>>, ChainError> {
        #[derive(Deserialize)]
        struct Output {
            height: u32,
            value: f64,
            #[serde(rename = "scriptPubKey")]
            script_pubkey: Script,
        }
        #[derive(Deserialize)]
        struct Input {
            coinbase: Option<String>,
            prevout: Option<Output>,
        }
        #[derive(Deserialize)]
        struct Answer {
            txid: Txid,
            vin: Vec<Input>,
        }
        const METHOD: &str = "getrawtransaction";
        let Some(answer) = self.find::<Answer>(METHOD, &[json!(txid), json!(2), json!(block)])?
        else {
            return Ok(None);
        };
        if answer.txid != *txid {
            let got = answer.txid;
            return Err(bad_answer(
                METHOD,
                &format!("asked for transaction {txid}, got {got}"),
            ));
        }
        let inputs = answer.vin.into_iter();
        // Without the block's undo data Core leaves the outputs out.
        inputs
            .filter(|input| input.coinbase.is_none())
            .map(|input| {
                input
                    .prevout
                    .map(|output| {
                        Ok(Spent {
                            output: TxOut {
                                value: amount(METHOD, output.value)?,
                                script_pubkey: output.script_pubkey.hex,
                            },
                            height: output.height,
                        })
                    })
                    .transpose()
            })
            .collect()
    }

    fn tx_out(&self, outpoint: &OutPoint, view: View) -> Result<Option<TxOutStatus>, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            bestblock: BlockHash,
            confirmations: u32,
            value: f64,
            #[serde(rename = "scriptPubKey")]
            script_pubkey: Script,
            coinbase: bool,
        }
        const METHOD: &str = "gettxout";
        let with_mempool = view == View::WithMempool;
        let answer: Option<Answer> = self.rpc.call(
            METHOD,
            &[
                json!(outpoint.txid),
                json!(outpoint.vout),
                json!(with_mempool),
            ],
        )?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        Ok(Some(TxOutStatus {
            output: TxOut {
                value: amount(METHOD, answer.value)?,
                script_pubkey: answer.script_pubkey.hex,
            },
            confirmations: answer.confirmations,
            is_coinbase: answer.coinbase,
            best_block: answer.bestblock,
        }))
    }

    fn test_mempool_accept(&self, transactions: &[Transaction]) -> Result<Vec<Tested>, ChainError> {
        #[derive(Deserialize)]
        struct Fees {
            base: f64,
        }
        #[derive(Deserialize)]
        struct Answer {
            txid: Txid,
            wtxid: Wtxid,
            allowed: Option<bool>,
            vsize: Option<u64>,
            fees: Option<Fees>,
            #[serde(rename = "reject-reason")]
            reject_reason: Option<String>,
            #[serde(rename = "package-error")]
            package_error: Option<String>,
        }
        const METHOD: &str = "testmempoolaccept";
        let raw: Vec<String> = transactions.iter().map(serialize_hex).collect();
        let answers: Vec<Answer> = self.rpc.call(METHOD, &[json!(raw)])?;
        let named = answers.iter().map(|answer| answer.wtxid);
        if !named.eq(transactions.iter().map(Transaction::compute_wtxid)) {
            return Err(bad_answer(
                METHOD,
                "the answers are not for the transactions asked about",
            ));
        }
        answers
            .into_iter()
            .map(|answer| {
                let verdict = match (answer.allowed, answer.vsize, answer.fees) {
                    (Some(true), Some(vsize), Some(fees)) => Verdict::Accepted {
                        vsize,
                        fee: amount(METHOD, fees.base)?,
                    },
                    (Some(true), ..) => {
                        return Err(bad_answer(METHOD, "allowed without size or fee"));
                    }
                    (Some(false), ..) => {
                        let words = answer.reject_reason.or(answer.package_error);
                        Verdict::rejected(&words.unwrap_or_default())
                    }
                    (None, ..) => match answer.package_error {
                        Some(words) => Verdict::rejected(&words),
                        None => Verdict::NotTested,
                    },
                };
                Ok(Tested {
                    txid: answer.txid,
                    wtxid: answer.wtxid,
                    verdict,
                })
            })
            .collect()
    }

    fn send(&self, transaction: &Transaction) -> Result<Txid, SendError> {
        match self
            .rpc
            .call("sendrawtransaction", &[json!(serialize_hex(transaction))])
        {
            Ok(txid) => Ok(txid),
            Err(ChainError::Refused {
                code: code @ -27..=-25,
                message,
                ..
            }) => Err(SendError::from_core(code, &message)),
            Err(other) => Err(other.into()),
        }
    }

    fn send_package(&self, parent: &Transaction, child: &Transaction) -> Result<Txid, SendError> {
        let raw = [serialize_hex(parent), serialize_hex(child)];
        match self.rpc.call(package::METHOD, &[json!(raw)]) {
            Ok(answer) => package::read(&answer, parent, child),
            // Bitcoin Core 26 says so of a package that it does not take.
            Err(ChainError::Refused {
                code: code @ -27..=-25,
                message,
                ..
            }) => Err(SendError::from_core(code, &message)),
            Err(other) => Err(other.into()),
        }
    }

    fn estimate_fee_rate(&self, target_blocks: u16) -> Result<Option<FeeRate>, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            feerate: Option<f64>,
        }
        const METHOD: &str = "estimatesmartfee";
        let answer: Answer = match self.rpc.call(METHOD, &[json!(target_blocks)]) {
            Err(ChainError::Refused {
                code: CODE_INTERNAL,
                ..
            }) => return Ok(None),
            answer => answer?,
        };
        // Without data Core leaves the field out; old versions write -1.
        answer
            .feerate
            .filter(|rate| *rate > 0.0)
            .map(|rate| fee_rate(METHOD, rate))
            .transpose()
    }

    fn mempool_min_fee_rate(&self) -> Result<FeeRate, ChainError> {
        #[derive(Deserialize)]
        struct Answer {
            mempoolminfee: f64,
            minrelaytxfee: f64,
        }
        const METHOD: &str = "getmempoolinfo";
        let answer: Answer = self.rpc.call(METHOD, &[])?;
        fee_rate(METHOD, answer.mempoolminfee.max(answer.minrelaytxfee))
    }
}

fn checked_tx(
    method: &str,
    transaction: Transaction,
    txid: &Txid,
) -> Result<Transaction, ChainError> {
    let got = transaction.compute_txid();
    if got == *txid {
        Ok(transaction)
    } else {
        Err(bad_answer(
            method,
            &format!("asked for transaction {txid}, got {got}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_rates_without_losing_a_satoshi_downwards() {
        // 0.1 sat/vB = 100 sat/kvB, the relay floor of Bitcoin Core 30.
        assert_eq!(
            fee_rate("m", 0.000_001).unwrap(),
            FeeRate::from_sat_per_kwu(25)
        );
        assert_eq!(
            fee_rate("m", 0.000_010_01).unwrap(),
            FeeRate::from_sat_per_kwu(251)
        );
        assert_eq!(fee_rate("m", 0.0).unwrap(), FeeRate::ZERO);
    }

    #[test]
    fn refuses_amounts_that_are_no_money() {
        for btc in [-0.1, f64::NAN, f64::INFINITY, 1e30, 0.000_000_001] {
            assert_eq!(
                amount("m", btc).unwrap_err().code(),
                "node-bad-answer",
                "{btc}"
            );
        }
    }
}
