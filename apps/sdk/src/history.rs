//! S2, where charms come from: the transactions that the inputs spend.
//!
//! Charms believes spells in witnesses, to which no transaction id commits, charms that were beamed
//! from another ledger, and every protocol version since the first: each of these could put charms
//! into an app's history that its contract never judged (ADR 5). So whatever spends them looks one
//! step back, and by induction all of the history is of the one form that is believed. The rules
//! are those of the bridge (R45 to R49 of `docs/spec/bridge-contract.md`).

use grail_app_facts::cbor::Reader;

use crate::{read::Shown, violation::Violation};

/// Lowest protocol version whose spells may carry an app's charms.
pub const SPELL_VERSION_MIN: u32 = 15;
/// Longest payload of a spell that is believed, as long as a standard transaction can be in all.
pub const SPELL_PAYLOAD_MAX_BYTES: usize = 400_000;

const SPELL_MARKER: &[u8] = b"spell";
const OP_RETURN: u8 = 0x6a;
/// `version` of a transaction, in hexadecimal digits.
const VERSION_DIGITS: usize = 8;

/// Checks that the previous transactions are exactly those that are spent, each without witness,
/// and that those that bring a charm of `app` have one spell, as provers write it, of a version
/// that is believed.
pub fn check_history(shown: &Shown<'_>, app: &[u8]) -> Result<(), Violation> {
    let mut spent: Vec<&[u8]> = Vec::with_capacity(shown.ins.len());
    let mut bringing: Vec<&[u8]> = Vec::new();
    for input in &shown.ins {
        let (txid, _) = input.outpoint.split_at(32);
        spent.push(txid);
        if input.charms.iter().any(|(key, _)| *key == app) {
            bringing.push(txid);
        }
    }
    spent.sort_unstable();
    spent.dedup();
    // One more than these could only be the source of a beam; one less leaves an input unjudged.
    if !shown.prev_txs.iter().map(|(txid, _)| *txid).eq(spent) {
        return Err(Violation::PrevTxSet);
    }
    for (txid, data) in &shown.prev_txs {
        let hex = bitcoin_hex(data).ok_or(Violation::PrevTxForm)?;
        match hex.get(VERSION_DIGITS..) {
            // No previous transaction has no input: this is the marker of a witness.
            Some([b'0', b'0', ..]) => return Err(Violation::PrevTxWitness),
            Some([_, _, ..]) => {}
            _ => return Err(Violation::PrevTxForm),
        }
        if bringing.contains(txid) {
            let version = spell_version(hex).ok_or(Violation::PrevTxForm)??;
            if version < SPELL_VERSION_MIN {
                return Err(Violation::PrevSpellVersion(version));
            }
        }
    }
    Ok(())
}

/// The transaction as Charms shows it, `{"bitcoin": "<hex>"}`: no other ledger, no proof of
/// inclusion, which beaming needs.
fn bitcoin_hex(data: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(data);
    let hex = (reader.map().ok()? == 1 && reader.text().ok()? == b"bitcoin")
        .then(|| reader.text().ok())??;
    reader.end().ok()?;
    Some(hex)
}

/// `None`: not a transaction.
fn spell_version(hex: &[u8]) -> Option<Result<u32, Violation>> {
    let mut digits = Digits {
        hex: hex.get(VERSION_DIGITS..)?,
    };
    for _ in 0..digits.compact_size()? {
        digits.take(36)?;
        let script = digits.compact_size()?;
        digits.take(script.checked_add(4)?)?;
    }
    let mut spells = 0_u32;
    let mut version = None;
    for _ in 0..digits.compact_size()? {
        digits.take(8)?;
        let length = digits.compact_size()?;
        let script = digits.take(length)?;
        if is_spell(script).is_some() {
            spells = spells.checked_add(1)?;
            version = version_in(script);
        }
    }
    let one = if spells == 1 { version } else { None };
    Some(one.ok_or(Violation::PrevSpell))
}

/// As Charms looks for one: any instruction, then a push of the marker.
fn is_spell(mut script: Digits<'_>) -> Option<()> {
    script.instruction()?;
    script.instruction()?.1?.is(SPELL_MARKER).then_some(())
}

/// The version of a spell as provers write it: `OP_RETURN`, the marker, and one payload, which
/// begins with an array of two, a map, and the version as its first entry.
fn version_in(mut script: Digits<'_>) -> Option<u32> {
    if script.instruction()?.0 != OP_RETURN {
        return None;
    }
    script.instruction()?;
    let mut payload = script.instruction()?.1?;
    let is_last = script.hex.is_empty();
    if !is_last || payload.hex.len().div_ceil(2) > SPELL_PAYLOAD_MAX_BYTES {
        return None;
    }
    let is_pair_of_map = payload.byte()? == 0x82 && matches!(payload.byte()?, 0xa1..=0xb7);
    if !is_pair_of_map || !payload.take(8)?.is(b"\x67version") {
        return None;
    }
    match payload.byte()? {
        small @ 0..=0x17 => Some(u32::from(small)),
        0x18 => payload.byte().map(u32::from),
        _ => None,
    }
}

/// Bytes in hexadecimal digits, decoded only where they are looked at.
#[derive(Clone, Copy)]
struct Digits<'a> {
    hex: &'a [u8],
}

impl Digits<'_> {
    fn byte(&mut self) -> Option<u8> {
        let [high, low, rest @ ..] = self.hex else {
            return None;
        };
        self.hex = rest;
        Some((digit(*high)? << 4) | digit(*low)?)
    }

    /// An unsigned little-endian integer of at most eight bytes.
    fn integer(&mut self, length: u32) -> Option<u64> {
        (0..length).try_fold(0, |value, index| {
            Some(value | u64::from(self.byte()?).checked_shl(index.checked_mul(8)?)?)
        })
    }

    fn compact_size(&mut self) -> Option<u64> {
        match self.byte()? {
            0xfd => self.integer(2),
            0xfe => self.integer(4),
            0xff => self.integer(8),
            small => Some(u64::from(small)),
        }
    }

    fn take(&mut self, length: u64) -> Option<Self> {
        let digits = usize::try_from(length.checked_mul(2)?).ok()?;
        let (hex, rest) = self.hex.split_at_checked(digits)?;
        self.hex = rest;
        Some(Self { hex })
    }

    /// The next instruction of a script: its opcode, and what it pushes if it is a push with a
    /// length.
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
