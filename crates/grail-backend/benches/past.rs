//! A past that never was: what users asked and paid, and the settlements that paid them.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
    absolute::LockTime,
    hashes::Hash,
    opcodes::all::OP_PUSHNUM_1,
    script::Builder,
    secp256k1::{All, Secp256k1},
    transaction::Version,
};
use grail_flow::{ReclaimCode, RequestState, SettlementId};
use grail_script::{DepositTree, InternalKey};
use grail_spell::{NormalizedCharms, NormalizedSpell, encode_op_return};
use grail_types::{Bridge, Destination, Epoch, Kind, RequestId, Roster, TaggedHasher, Terms};

use super::operators::key;

/// Of so many requests one settlement serves the first [`ITEMS`].
pub const GROUP: u64 = 100;
/// Requests of a settlement.
pub const ITEMS: u64 = 50;
/// What every deposit is.
pub const DEPOSIT_SAT: u64 = 100_000;
/// What every request pays of the fee.
pub const SHARE_SAT: u64 = 1_000;
/// Bytes of an input's witness in a settlement: twelve signatures, leaf and control block.
const WITNESS: [usize; 3] = [12 * 65, 580, 65];

/// How a request ended, or where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Paid,
    Ready,
    Reclaimable,
    Reclaimed,
    Awaiting,
    Expired,
}

impl Fate {
    /// Of the request at `index`.
    pub const fn of(index: u64) -> Self {
        match index % GROUP {
            0..ITEMS => Self::Paid,
            50 => Self::Ready,
            51..=52 => Self::Reclaimable,
            53..=54 => Self::Reclaimed,
            55..=59 => Self::Awaiting,
            _ => Self::Expired,
        }
    }

    pub const fn has_deposit(self) -> bool {
        match self {
            Self::Paid | Self::Ready | Self::Reclaimable | Self::Reclaimed => true,
            Self::Awaiting | Self::Expired => false,
        }
    }

    pub fn state(self, deposit: OutPoint, settlement: u64) -> RequestState {
        let code = ReclaimCode::Late;
        match self {
            Self::Paid => RequestState::Paid {
                deposit,
                settlement: SettlementId(settlement),
            },
            Self::Ready => RequestState::Ready { deposit },
            Self::Reclaimable => RequestState::Reclaimable { deposit, code },
            Self::Reclaimed => RequestState::Reclaimed { deposit, code },
            Self::Awaiting => RequestState::AwaitingDeposit {},
            Self::Expired => RequestState::Expired {},
        }
    }
}

/// A number that nobody else has.
pub fn number(what: &str, index: u64) -> [u8; 32] {
    TaggedHasher::new("grail/growth/v1")
        .bytes(what.as_bytes())
        .u64(index)
        .finish()
}

/// What everybody's requests have in common.
pub struct Past {
    pub secp: Secp256k1<All>,
    pub bridge: Bridge,
    pub roster: Roster,
    pub vault: ScriptBuf,
}

/// One request.
pub struct Asked {
    pub fate: Fate,
    pub kind: Kind,
    pub terms: Terms,
    pub id: RequestId,
    pub script: ScriptBuf,
}

impl Past {
    /// The request at `index`.
    pub fn asked(&self, index: u64) -> Asked {
        let fate = Fate::of(index);
        // Those that are to be planned must be what they say that they are.
        let kind = if index.is_multiple_of(2) || fate == Fate::Ready {
            Kind::PegIn
        } else {
            Kind::PegOut
        };
        let unique = number("request", index);
        let destination = match kind {
            Kind::PegOut => {
                let hash = WPubkeyHash::from_slice(&unique[..20]).unwrap();
                ScriptBuf::new_p2wpkh(&hash)
            }
            _ => ScriptBuf::new_p2tr(&self.secp, key(50), None),
        };
        let terms = Terms {
            kind,
            network: self.bridge.network,
            bridge: self.bridge.app,
            destination: Destination::try_from(destination).unwrap(),
            fee_cap: Amount::from_sat(20_000),
            epoch: Epoch(0),
            reclaim_key: key(60),
            reclaim_delay: 2_000,
            nonce: unique[..16].try_into().unwrap(),
        };
        let script = if fate == Fate::Ready {
            DepositTree::new(&self.secp, InternalKey::Nums, &terms, &self.roster).script_pubkey
        } else {
            taproot(number("script", index))
        };
        Asked {
            fate,
            kind,
            id: terms.id(),
            terms,
            script,
        }
    }

    /// A settlement of deposits that spends what the one before made.
    pub fn settlement(
        &self,
        before: Txid,
        deposits: &[OutPoint],
        spell: &ScriptBuf,
    ) -> Transaction {
        let own = (0..2).map(|vout| OutPoint::new(before, vout));
        let inputs = own.chain(deposits.iter().copied());
        let output = |sat, script: &ScriptBuf| TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: script.clone(),
        };
        let payout = ScriptBuf::new_p2tr(&self.secp, key(50), None);
        let mut outputs = vec![output(330, &self.vault), output(1_000_000, &self.vault)];
        outputs.extend(deposits.iter().map(|_| output(330, &payout)));
        outputs.push(output(0, spell));
        let witness = || Witness::from_slice(&WITNESS.map(|length| vec![0x5a; length]));
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs.map(|spent| input(spent, witness())).collect(),
            output: outputs,
        }
    }
}

/// A taproot output's script that is nobody's.
pub fn taproot(bytes: [u8; 32]) -> ScriptBuf {
    let builder = Builder::new().push_opcode(OP_PUSHNUM_1);
    builder.push_slice(bytes).into_script()
}

fn input(previous_output: OutPoint, witness: Witness) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness,
    }
}

/// Pays `sat` to each of the scripts, out of nowhere.
pub fn payment(index: u64, inputs: u64, scripts: &[ScriptBuf], sat: u64) -> Transaction {
    let spent = |vout| {
        let txid = Txid::from_byte_array(number("coins", index));
        OutPoint::new(txid, u32::try_from(vout).unwrap())
    };
    let witness = || Witness::from_slice(&[vec![0x30; 71], vec![2; 33]]);
    let outputs = scripts.iter().map(|script| TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: script.clone(),
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..inputs)
            .map(|vout| input(spent(vout), witness()))
            .collect(),
        output: outputs.collect(),
    }
}

/// The output that carries a settlement's spell: as many outputs as one has, and bytes in place of
/// the rest and of the proof.
pub fn spell() -> ScriptBuf {
    let mut spell = NormalizedSpell::default();
    let outputs = usize::try_from(ITEMS).unwrap() + 2;
    spell.tx.outs = vec![NormalizedCharms::default(); outputs];
    encode_op_return(&spell, &vec![0x77; 1_500]).unwrap()
}
