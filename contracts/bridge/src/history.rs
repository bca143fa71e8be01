//! Where the bridge's charms come from: the transactions that the inputs spend.
//!
//! Charms believes the spells of previous transactions under rules that the bridge cannot afford: a spell in a
//! witness, to which no transaction id commits, so that one transaction can be shown with different spells;
//! charms beamed from another ledger; every protocol version since the first. Each of these could put zkBTC
//! that nobody backs into a token's history, where a valid proof of the next transfer would hide it. So each
//! transfer looks one step back, and by induction the whole history is of the one form that is believed:
//! Bitcoin transactions whose spell is in an output, of a version that the bridge was made for.
//!
//! Reads hexadecimal text in place and decodes no more of it than it looks at: every instruction is proven.

use std::collections::BTreeSet;

use charms_data::{App, Data, Transaction, TxId};
use ciborium::Value;

use crate::violation::Violation;

/// Lowest protocol version whose spells may carry the bridge's charms: the one that it was first deployed under.
pub const SPELL_VERSION_MIN: u32 = 15;

/// Longest payload of a spell that is believed, as long as a standard transaction can be in all: Charms ignores what
/// follows the spell in it, without limit, and whoever reads it natively must have one.
pub const SPELL_PAYLOAD_MAX_BYTES: usize = 400_000;

/// What Charms puts in front of a spell.
const SPELL_MARKER: &[u8] = b"spell";
const OP_RETURN: u8 = 0x6a;
/// Length of `version` (4 bytes) in hexadecimal digits; a witness marker, or the number of inputs, follows.
const VERSION_DIGITS: usize = 8;
/// Bytes of an outpoint and of a sequence number: BIP 144 without the script between them.
const OUTPOINT_BYTES: u64 = 36;
const SEQUENCE_BYTES: u64 = 4;
const AMOUNT_BYTES: u64 = 8;

/// Checks the previous transactions of `tx`, and the spells of those that bring charms of `app`.
pub fn check_history(app: &App, tx: &Transaction) -> Result<(), Violation> {
    let spent = tx.ins.iter().chain(&tx.refs);
    let expected: BTreeSet<&TxId> = spent.map(|(utxo, _)| &utxo.0).collect();
    // One more than these could only be the source of a beam; one less leaves an input unjudged.
    if !tx.prev_txs.keys().eq(expected) {
        return Err(Violation::PrevTxSet);
    }
    let bringing: BTreeSet<&TxId> = tx
        .ins
        .iter()
        .filter(|(_, charms)| charms.contains_key(app))
        .map(|(utxo, _)| &utxo.0)
        .collect();
    for (txid, shown) in &tx.prev_txs {
        let hex = bitcoin_hex(shown)?;
        check_witnessless(&hex)?;
        if bringing.contains(txid) {
            check_spell(hex.as_bytes())?;
        }
    }
    Ok(())
}

/// Whether charms of the bridge may come from the transaction with this serialisation (lower-case hexadecimal, without
/// witness): what no settlement and no transfer can spend later is better not taken for zkBTC today.
pub fn check_previous(hex: &str) -> Result<(), Violation> {
    check_witnessless(hex)?;
    check_spell(hex.as_bytes())
}

/// The transaction as Charms shows it to a contract, `{"bitcoin": "<hex>"}`: no other ledger, no proof of
/// inclusion, which beaming needs.
fn bitcoin_hex(shown: &Data) -> Result<String, Violation> {
    let Ok(Value::Map(entries)) = shown.value::<Value>() else {
        return Err(Violation::PrevTxForm);
    };
    let Ok([(Value::Text(ledger), Value::Text(hex))]) = <[(Value, Value); 1]>::try_from(entries)
    else {
        return Err(Violation::PrevTxForm);
    };
    if ledger == "bitcoin" {
        Ok(hex)
    } else {
        Err(Violation::PrevTxForm)
    }
}

/// Without a witness the number of inputs stands after the version, and no previous transaction has none.
fn check_witnessless(hex: &str) -> Result<(), Violation> {
    match hex.as_bytes().get(VERSION_DIGITS..) {
        Some([b'0', b'0', ..]) => Err(Violation::PrevTxWitness),
        Some([_, _, ..]) => Ok(()),
        _ => Err(Violation::PrevTxForm),
    }
}

/// Exactly one output is what Charms takes for a spell, in the form that its provers write, and its version is
/// one that the bridge believes.
fn check_spell(hex: &[u8]) -> Result<(), Violation> {
    let version = spell_version(hex).ok_or(Violation::PrevTxForm)??;
    if version < SPELL_VERSION_MIN {
        return Err(Violation::PrevSpellVersion(version));
    }
    Ok(())
}

/// `None`: not a transaction.
fn spell_version(hex: &[u8]) -> Option<Result<u32, Violation>> {
    let mut reader = Reader { hex };
    reader.hex = reader.hex.get(VERSION_DIGITS..)?;
    for _ in 0..reader.compact_size()? {
        reader.skip(OUTPOINT_BYTES)?;
        let script_bytes = reader.compact_size()?;
        reader.skip(script_bytes.checked_add(SEQUENCE_BYTES)?)?;
    }
    let mut versions = Vec::new();
    for _ in 0..reader.compact_size()? {
        reader.skip(AMOUNT_BYTES)?;
        let script_bytes = reader.compact_size()?;
        let script = reader.take(script_bytes)?;
        if is_spell(script).is_some() {
            versions.push(version_in(script));
        }
    }
    Some(match versions.as_slice() {
        [version] => version.ok_or(Violation::PrevSpell),
        _ => Err(Violation::PrevSpell),
    })
}

/// As Charms looks for one: any instruction, then a push of the marker.
fn is_spell(script: Reader<'_>) -> Option<()> {
    let mut reader = script;
    reader.instruction()?;
    let marker = reader.instruction()?.1?;
    marker.is(SPELL_MARKER).then_some(())
}

/// The version of a spell output as provers write it: `OP_RETURN`, the marker, and a payload that begins with an
/// array of two, a map, and the version as its first entry.
fn version_in(script: Reader<'_>) -> Option<u32> {
    let mut reader = script;
    let (first, _) = reader.instruction()?;
    if first != OP_RETURN {
        return None;
    }
    reader.instruction()?;
    let (_, payload) = reader.instruction()?;
    if !reader.hex.is_empty() {
        return None;
    }
    let mut payload = payload?;
    if payload.hex.len().div_ceil(2) > SPELL_PAYLOAD_MAX_BYTES {
        return None;
    }
    let starts = payload.byte()? == 0x82
        && matches!(payload.byte()?, 0xa1..=0xb7)
        && payload.take(8)?.is(b"\x67version");
    if !starts {
        return None;
    }
    match payload.byte()? {
        small @ 0..=0x17 => Some(u32::from(small)),
        0x18 => payload.byte().map(u32::from),
        _ => None,
    }
}

/// Reads bytes from hexadecimal digits.
#[derive(Clone, Copy)]
struct Reader<'a> {
    hex: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let [high, low, rest @ ..] = self.hex else {
            return None;
        };
        self.hex = rest;
        Some((digit(*high)? << 4) | digit(*low)?)
    }

    /// An unsigned little-endian integer of `bytes` bytes, at most eight.
    fn integer(&mut self, bytes: u32) -> Option<u64> {
        let mut value = 0_u64;
        for index in 0..bytes {
            let shift = index.checked_mul(8)?;
            value |= u64::from(self.byte()?).checked_shl(shift)?;
        }
        Some(value)
    }

    fn compact_size(&mut self) -> Option<u64> {
        match self.byte()? {
            0xfd => self.integer(2),
            0xfe => self.integer(4),
            0xff => self.integer(8),
            small => Some(u64::from(small)),
        }
    }

    fn take(&mut self, bytes: u64) -> Option<Self> {
        let digits = usize::try_from(bytes.checked_mul(2)?).ok()?;
        let (taken, rest) = self.hex.split_at_checked(digits)?;
        self.hex = rest;
        Some(Self { hex: taken })
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.take(bytes).map(|_| ())
    }

    /// The next instruction of a script: its opcode, and what it pushes if it is a push with a length.
    fn instruction(&mut self) -> Option<(u8, Option<Self>)> {
        let opcode = self.byte()?;
        let length = match opcode {
            0..=0x4b => u64::from(opcode),
            0x4c => self.integer(1)?,
            0x4d => self.integer(2)?,
            0x4e => self.integer(4)?,
            _ => return Some((opcode, None)),
        };
        Some((opcode, Some(self.take(length)?)))
    }

    fn is(mut self, expected: &[u8]) -> bool {
        expected.iter().all(|byte| self.byte() == Some(*byte)) && self.hex.is_empty()
    }
}

/// Charms writes lower case.
fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
        _ => None,
    }
}
