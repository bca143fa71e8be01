//! The client of Charms' prover server, protocol version 15: `POST /spells/prove`, `GET /ready`.
//!
//! Owns the request, the waiting, and what an answer may look like. The server makes a transaction
//! of its own around the proven spell: the spell's inputs and coins, its fee output if it charges,
//! the `OP_RETURN`, change. All of that is predicted before it is asked ([`layout`]) and compared;
//! only the `OP_RETURN` and the fee output are taken over. Trusts nothing that comes back: the
//! spell is read strictly and its proof verified, and a difference of any kind is an error that
//! names it. Never sends a key, a witness or a name.
//!
//! On regtest it asks for mock proofs, anywhere else for real ones; there is no other way to choose
//! (I11).

mod layout;
mod once;
mod transport;
mod wire;

use std::time::Duration;

use bitcoin::{Amount, ScriptBuf, TxOut};
use grail_charms::explain_strict;
use grail_spell::{decode_op_return, read_strict};
use grail_types::{Destination, MockAllowed, Network};
use sha2::{Digest as _, Sha256};

pub use self::layout::{AnswerError, RequestError};
pub use self::transport::Jitter;

use self::layout::Layout;
use self::once::Once;
use self::transport::Transport;
use crate::check::check;
use crate::port::{
    MOCK_PROOF_BYTES, ProveRequest, Proven, Prover, ProverError, REAL_PROOF_BYTES, TransientError,
};

/// Longest body that the server reads.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Finished proofs that are kept, so that a repeated request is not paid for again while this
/// process lives.
const PROOFS_KEPT_MAX: usize = 64;

/// What the server charges for a proof, and the most that is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProverFee {
    /// Where it wants to be paid.
    pub destination: Destination,
    /// Charged for every proof.
    pub base: Amount,
    /// Charged for a million cycles. A real prover counts the contracts' fuel, which is known
    /// beforehand; a mock prover counts the cycles of the whole checker, which are not.
    pub sat_per_megacycle: u64,
    /// Most that an output to it may hold.
    pub output_max: Amount,
}

/// Where the server is, and how patient its client.
#[derive(Clone, Debug)]
pub struct CharmsConfig {
    /// The server: `http://` or `https://`, host, optional port and path, no credentials.
    pub url: String,
    /// Network whose spells are proven.
    pub network: Network,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest time for one attempt, from name resolution to the answer's last byte.
    pub total_timeout: Duration,
    /// Attempts for one request before it counts as unavailable.
    pub attempts_max: u32,
    /// Longest pause after the first failed attempt; it doubles with each further one.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// What the server charges. None: it may charge nothing.
    pub fee: Option<ProverFee>,
}

impl CharmsConfig {
    /// The server at `url`, with timeouts that fit real proofs, charging nothing.
    pub fn new(url: impl Into<String>, network: Network) -> Self {
        Self {
            url: url.into(),
            network,
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_mins(20),
            attempts_max: 4,
            pause: Duration::from_secs(2),
            pause_max: Duration::from_mins(1),
            fee: None,
        }
    }
}

/// Why settings are no configuration of a prover.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharmsConfigError {
    /// No address of a server.
    #[error(
        "expected the prover's url as http(s)://host[:port][/path] without credentials, got {url}"
    )]
    Url {
        /// What was given, without anything before an `@`.
        url: String,
    },
    /// No attempt is allowed, or no time.
    #[error("the prover needs at least one attempt and timeouts above zero")]
    Patience,
    /// A fee that no output could hold.
    #[error("a prover's fee of at least {least} is above the most that is paid, {output_max}")]
    Fee {
        /// What it charges at least, as an output.
        least: Amount,
        /// What is paid at most.
        output_max: Amount,
    },
}

/// Proves by asking a Charms prover server.
pub struct CharmsProver {
    network: Network,
    fee: Option<ProverFee>,
    transport: Transport,
    proofs: Once<[u8; 32], Proven>,
}

impl std::fmt::Debug for CharmsProver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CharmsProver")
            .field("network", &self.network)
            .field("url", &self.transport.url())
            .finish_non_exhaustive()
    }
}

impl CharmsProver {
    /// A client; does not connect. `jitter` says how long to pause, given the longest pause
    /// allowed.
    pub fn new(config: CharmsConfig, jitter: Jitter) -> Result<Self, CharmsConfigError> {
        if let Some(fee) = &config.fee {
            let least = layout::fee_output_value(fee.base);
            if least > fee.output_max {
                return Err(CharmsConfigError::Fee {
                    least,
                    output_max: fee.output_max,
                });
            }
        }
        Ok(Self {
            network: config.network,
            transport: Transport::new(&config, jitter)?,
            fee: config.fee,
            proofs: Once::new(PROOFS_KEPT_MAX),
        })
    }

    /// Asks whether the server is there.
    pub fn ready(&self) -> Result<(), TransientError> {
        self.transport.ready()
    }
}

impl Prover for CharmsProver {
    fn kind(&self) -> &'static str {
        "charms"
    }

    fn proof_bytes(&self) -> usize {
        match MockAllowed::on(self.network) {
            Some(_) => MOCK_PROOF_BYTES,
            None => REAL_PROOF_BYTES,
        }
    }

    fn fee_output_max(&self) -> Option<TxOut> {
        self.fee.as_ref().map(|fee| TxOut {
            value: fee.output_max,
            script_pubkey: fee.destination.clone().into(),
        })
    }

    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
        let mock = MockAllowed::on(self.network);
        let mut request = request.clone();
        // Without the permission a mock spell stays one, and the check refuses it.
        request.spell.mock |= mock.is_some();
        // What no prover proves is not worth asking for; and the fuel decides the price.
        let fuel = check(&request, mock)?.fuel();
        let layout = Layout::predict(&request, self.network, self.fee.as_ref(), fuel)?;
        let body = wire::encode(&request, layout.change_address())?;
        if body.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLarge {
                allowed: REQUEST_BYTES_MAX,
                got: body.len(),
            }
            .into());
        }
        let key = Sha256::digest(&body).into();
        self.proofs.get(key, || {
            let answer = self.transport.ask(&body)?;
            let transaction = wire::decode(&answer)?;
            let (op_return, fee_output) = layout.compare(&transaction)?;
            let verified = read_strict(&transaction, mock)
                .map_err(|error| AnswerError::Spell(explain_strict(&transaction, &error)))?;
            let spell_wire = request.spell.to_wire();
            if verified.spell().to_wire() != spell_wire {
                return Err(AnswerError::OtherSpell.into());
            }
            let proof = decode_op_return(&transaction)?
                .map(|found| found.proof)
                .ok_or(AnswerError::SpellOutput)?;
            Ok(Proven {
                spell_wire,
                proof,
                op_return: ScriptBuf::clone(op_return),
                fuel,
                fee_output: fee_output.cloned(),
            })
        })
    }
}
