//! A prover server in the place of Charms': mock proofs, in the form that Charms' own server
//! answers with; and everything that a prover may do wrong.
//!
//! The proofs are those of the mock prover, with all of its checks. What is wrong is wrong by what
//! is said about it, never by chance.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness, address::NetworkUnchecked,
};
use charms_data::{App, B32, Data};
use grail_charms::outpoint_from_utxo_id;
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_spell::NormalizedSpell;
use grail_types::MockAllowed;
use serde::{Deserialize, Serialize};

use crate::http::{HttpMessage, read_message};

/// Change below this is none (Charms' server).
const DUST: Amount = Amount::from_sat(300);
/// An answer that lags comes after this: longer than a proof takes here, shorter than who asks
/// waits.
const LAG: Duration = Duration::from_millis(1_500);
/// Seconds that who asks waits for an answer.
const PATIENCE_SECONDS: u8 = 3;

/// What a prover does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProverLie {
    /// It is gone: nobody answers.
    Vanished,
    /// It takes the request and never answers.
    Stalls,
    /// Its answer takes its time.
    Lags,
    /// It has too much to do.
    Overloaded,
    /// It refuses, whatever it is asked for.
    Refuses,
    /// It answers with what it made for the request before: a valid proof of another spell.
    AnotherProof,
    /// It proves a spell that makes no charms, in the transaction that was asked for.
    AnotherSpell,
    /// It answers with bytes that are no answer.
    Garbage,
}

impl ProverLie {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Vanished,
        Self::Stalls,
        Self::Lags,
        Self::Overloaded,
        Self::Refuses,
        Self::AnotherProof,
        Self::AnotherSpell,
        Self::Garbage,
    ];
}

/// A listening prover server. Dropping it ends all its connections.
#[derive(Debug)]
pub struct ProverServer {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mock: MockAllowed,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lie: Option<ProverLie>,
    /// Answered with last, and rightly.
    last: Option<Vec<u8>>,
    /// Requests that came, those that were lied to or turned away included.
    asked: u64,
    is_closed: bool,
}

/// What Charms' client sends; the rest of it is of no matter for a mock proof.
#[derive(Deserialize)]
struct Request {
    spell: NormalizedSpell,
    #[serde(default)]
    app_private_inputs: BTreeMap<App, Data>,
    #[serde(default)]
    binaries: BTreeMap<B32, Vec<u8>>,
    prev_txs: Vec<Tx>,
    change_address: Address<NetworkUnchecked>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tx {
    Bitcoin(String),
}

impl ProverServer {
    /// Starts an honest one.
    ///
    /// # Errors
    /// Without a port, and in a build whose regtest has no mock proofs.
    pub fn start() -> Result<Self> {
        let mock = MockAllowed::on(grail_types::Network::Regtest).context("no mock proofs")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            mock,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().is_closed {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let inner = Arc::clone(&accepting);
                // A broken connection is the caller's to notice.
                thread::spawn(move || drop(inner.converse(&stream)));
            }
        });
        Ok(Self { address, inner })
    }

    /// A backend's options about it: one attempt, and little patience.
    pub fn options(&self) -> Vec<String> {
        let url = format!("http://{}", self.address);
        let patience = PATIENCE_SECONDS.to_string();
        let options = [
            ["--prover", "charms"],
            ["--prover-url", &url],
            ["--prover-timeout", &patience],
            ["--prover-attempts", "1"],
        ];
        options.concat().into_iter().map(str::to_owned).collect()
    }

    /// Lies from now on.
    pub fn lie(&self, lie: ProverLie) {
        self.inner.lock().lie = Some(lie);
    }

    /// Proves from now on, and lets go of whom it kept waiting.
    pub fn be_honest(&self) {
        self.inner.lock().lie = None;
        self.inner.changed.notify_all();
    }

    /// Requests so far, those that were lied to or turned away included.
    pub fn asked(&self) -> u64 {
        self.inner.lock().asked
    }
}

impl Drop for ProverServer {
    fn drop(&mut self) {
        self.inner.lock().is_closed = true;
        self.be_honest();
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of it is a single one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn converse(&self, caller: &TcpStream) -> io::Result<()> {
        caller.set_nodelay(true)?;
        let (mut from, mut to) = (BufReader::new(caller), caller);
        let outcome = loop {
            if self.lock().lie == Some(ProverLie::Vanished) {
                self.lock().asked += 1;
                break Ok(());
            }
            let Some(call) = read_message(&mut from)? else {
                break Ok(());
            };
            match self.answer(&call.body) {
                Some(answer) => answer.write(&mut to)?,
                None => break Ok(()),
            }
        };
        let _ = caller.shutdown(Shutdown::Both);
        outcome
    }

    /// What is said to a request; none: the connection ends.
    fn answer(&self, body: &[u8]) -> Option<HttpMessage> {
        let lie = {
            let mut state = self.lock();
            state.asked += 1;
            state.lie
        };
        let words = |status, words: &str| {
            HttpMessage::answer(status, "text/plain", words.as_bytes().to_vec())
        };
        let told = |body| HttpMessage::answer(200, "application/cbor", body);
        let proven = |is_another| match self.prove(body, is_another) {
            Ok(answer) => told(answer),
            Err(error) => words(400, &format!("{error:#}")),
        };
        Some(match lie {
            None => proven(false),
            Some(ProverLie::Vanished) => return None,
            Some(ProverLie::Stalls) => {
                self.stall();
                return None;
            }
            Some(ProverLie::Lags) => {
                thread::sleep(LAG);
                proven(false)
            }
            Some(ProverLie::Overloaded) => words(503, "too many proofs"),
            Some(ProverLie::Refuses) => words(401, "who are you"),
            Some(ProverLie::AnotherProof) => match self.lock().last.clone() {
                Some(last) => told(last),
                None => words(500, "nothing was ever proven"),
            },
            Some(ProverLie::AnotherSpell) => proven(true),
            Some(ProverLie::Garbage) => told(b"all is well".to_vec()),
        })
    }

    /// Returns once it is honest again.
    fn stall(&self) {
        let mut state = self.lock();
        while state.lie == Some(ProverLie::Stalls) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn prove(&self, body: &[u8], is_another: bool) -> Result<Vec<u8>> {
        let request: Request = ciborium::from_reader(body).context("the request")?;
        let prev_txs = request.prev_txs.iter();
        let request = Asked {
            change: request
                .change_address
                .require_network(Network::Regtest)?
                .script_pubkey(),
            proving: ProveRequest {
                spell: request.spell,
                prev_txs: prev_txs
                    .map(|Tx::Bitcoin(hex)| Ok(deserialize_hex(hex)?))
                    .collect::<Result<_>>()?,
                app_binaries: request.binaries,
                app_private_inputs: request.app_private_inputs,
            },
        };
        let prover = MockProver::new(self.mock);
        let proven = if is_another {
            let mut spell = request.proving.spell.clone();
            for charms in &mut spell.tx.outs {
                charms.clear();
            }
            prover.prove_unchecked(&spell)?
        } else {
            prover.prove(&request.proving)?
        };
        let made = request.around(proven.op_return)?;
        let mut answer = Vec::new();
        ciborium::into_writer(&[Tx::Bitcoin(serialize_hex(&made))], &mut answer)?;
        if !is_another {
            self.lock().last = Some(answer.clone());
        }
        Ok(answer)
    }
}

struct Asked {
    proving: ProveRequest,
    change: ScriptBuf,
}

impl Asked {
    /// The transaction that Charms' server makes around a proven spell, at a fee rate of zero.
    fn around(&self, op_return: ScriptBuf) -> Result<Transaction> {
        let tx = &self.proving.spell.tx;
        let inputs: Vec<OutPoint> = tx.ins.iter().flatten().map(outpoint_from_utxo_id).collect();
        let mut output: Vec<TxOut> = tx
            .coins
            .iter()
            .flatten()
            .map(|coin| TxOut {
                value: Amount::from_sat(coin.amount),
                script_pubkey: ScriptBuf::from_bytes(coin.dest.clone()),
            })
            .collect();
        let made: BTreeMap<Txid, &Transaction> = self
            .proving
            .prev_txs
            .iter()
            .map(|made| (made.compute_txid(), made))
            .collect();
        let value = |input: &OutPoint| {
            let vout = usize::try_from(input.vout).ok()?;
            Some(made.get(&input.txid)?.output.get(vout)?.value)
        };
        let into = inputs
            .iter()
            .map(value)
            .sum::<Option<Amount>>()
            .context("an input that nothing made")?;
        let out: Amount = output.iter().map(|output| output.value).sum();
        let change = into.checked_sub(out).context("more out than in")?;
        output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: op_return,
        });
        if change >= DUST {
            output.push(TxOut {
                value: change,
                script_pubkey: self.change.clone(),
            });
        }
        let input = inputs.into_iter().map(|previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        });
        Ok(Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: input.collect(),
            output,
        })
    }
}
