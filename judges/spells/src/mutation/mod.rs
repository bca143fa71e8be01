//! Changes of transactions that carry spells: to single bytes, to the payload's CBOR, to the
//! scripts around it, to the transaction, to the proof.
//!
//! Owns what is changed and how; whether a verdict follows is for [`crate::verdict`]. Every change
//! is a value that can be listed, shown and made again; nothing here is random.

pub mod bytes;
pub mod cbor;
pub mod payload;
pub mod proof;
pub mod script;
pub mod transaction;

use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
use bitcoin::script::Instruction;
use bitcoin::{Script, Transaction, Witness};

use cbor::{Item, Kind};

/// Where a payload sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// In this output.
    Output(usize),
    /// In the leaf script of the last input, whose witness has this item as leaf script.
    Witness,
}

/// The payload of a spell, taken out.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Where it was.
    pub site: Site,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Its CBOR, if it is any.
    pub item: Option<Item>,
}

/// A transaction to change.
#[derive(Clone, Debug)]
pub struct Base {
    /// What it is called.
    pub name: String,
    /// It.
    pub tx: Transaction,
    /// Its spell's payload, if there is one that can be taken out.
    pub carried: Option<Carried>,
}

impl Base {
    /// Takes the payload out of `tx`.
    pub fn new(name: impl Into<String>, tx: Transaction) -> Self {
        let carried = carried_by(&tx);
        Self {
            name: name.into(),
            tx,
            carried,
        }
    }

    /// The transaction with `payload` in place of its own.
    pub fn with_payload(&self, payload: &[u8]) -> Option<Transaction> {
        let mut tx = self.tx.clone();
        match self.carried.as_ref()?.site {
            Site::Output(index) => {
                tx.output.get_mut(index)?.script_pubkey = script::op_return(payload);
            }
            Site::Witness => {
                let input = tx.input.last_mut()?;
                let leaf = script::envelope(payload, script::CHUNK_BYTES);
                input.witness = script::with_leaf(&input.witness, leaf)?;
            }
        }
        Some(tx)
    }

    /// The bytes of the spell's proof.
    pub fn proof(&self) -> Option<Vec<u8>> {
        let Kind::Array(parts) = &self.carried.as_ref()?.item.as_ref()?.kind else {
            return None;
        };
        match &parts.get(1)?.kind {
            Kind::Bytes(bytes) => Some(bytes.clone()),
            Kind::Array(items) => items
                .iter()
                .map(|item| match item.kind {
                    Kind::Unsigned(value) => u8::try_from(value).ok(),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// The transaction with `proof` in place of its own, in the encoding that Charms writes.
    pub fn with_proof(&self, proof: &[u8]) -> Option<Transaction> {
        let mut item = self.carried.as_ref()?.item.clone()?;
        *item.at(&[1])? = Item::array(proof.iter().map(|&byte| Item::number(byte.into())));
        self.with_payload(&item.to_bytes())
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Of a byte of the serialised transaction.
    Byte(bytes::Edit),
    /// Of the payload.
    Payload(payload::Edit),
    /// Of scripts and witnesses around the payload.
    Script(script::Edit),
    /// Of inputs and outputs.
    Transaction(transaction::Edit),
    /// Of the proof.
    Proof(proof::Edit),
}

impl Mutation {
    /// Every change that has a structure: all but those of single bytes. `others` lend their
    /// proofs.
    pub fn structured(base: &Base, others: &[Base]) -> Vec<Self> {
        let payload = payload::Edit::all(base).into_iter().map(Self::Payload);
        let script = script::Edit::all(base).into_iter().map(Self::Script);
        let transaction = transaction::Edit::all(base)
            .into_iter()
            .map(Self::Transaction);
        let proof = proof::Edit::all(base, others).into_iter().map(Self::Proof);
        payload
            .chain(script)
            .chain(transaction)
            .chain(proof)
            .collect()
    }

    /// The changed transaction; `None` where the change does not apply or changes nothing.
    pub fn apply(&self, base: &Base) -> Option<Transaction> {
        let changed = match self {
            Self::Byte(edit) => edit.apply(&base.tx),
            Self::Payload(edit) => edit.apply(base),
            Self::Script(edit) => edit.apply(base),
            Self::Transaction(edit) => edit.apply(&base.tx),
            Self::Proof(edit) => edit.apply(base),
        }?;
        (changed != base.tx).then_some(changed)
    }
}

fn carried_by(tx: &Transaction) -> Option<Carried> {
    let in_output = tx.output.iter().enumerate().find_map(|(index, output)| {
        Some((
            Site::Output(index),
            op_return_payload(&output.script_pubkey)?,
        ))
    });
    let (site, payload) = in_output.or_else(|| {
        let payload = envelope_payload(&tx.input.last()?.witness)?;
        Some((Site::Witness, payload))
    })?;
    let item = Item::read(&payload);
    Some(Carried {
        site,
        payload,
        item,
    })
}

fn op_return_payload(script: &Script) -> Option<Vec<u8>> {
    let mut instructions = script.instructions().skip(1).map_while(Result::ok);
    let Instruction::PushBytes(marker) = instructions.next()? else {
        return None;
    };
    let Instruction::PushBytes(payload) = instructions.next()? else {
        return None;
    };
    (marker.as_bytes() == script::MARKER).then(|| payload.as_bytes().to_vec())
}

fn envelope_payload(witness: &Witness) -> Option<Vec<u8>> {
    let leaf = witness.taproot_leaf_script()?.script;
    let mut instructions = leaf.instructions().skip(1).map_while(Result::ok);
    if instructions.next()? != Instruction::Op(OP_IF) {
        return None;
    }
    let Instruction::PushBytes(marker) = instructions.next()? else {
        return None;
    };
    if marker.as_bytes() != script::MARKER {
        return None;
    }
    let mut payload = Vec::new();
    loop {
        match instructions.next()? {
            Instruction::PushBytes(push) => payload.extend(push.as_bytes()),
            Instruction::Op(OP_ENDIF) => return Some(payload),
            Instruction::Op(_) => return None,
        }
    }
}
