//! `grail spell verify`: the spells of raw transactions, judged without wallet, node or network.
//!
//! Owns the reading of files. The verdict is `grail_spell`'s: valid is what its compatible reading
//! accepts. Every byte is foreign: files are bounded, and one that cannot be read does not keep the
//! others from being judged.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bitcoin::consensus::encode::deserialize;
use bitcoin::{Network as BitcoinNetwork, Transaction};
use grail_charms::{explain_strict, read_compatible};
use grail_spell::{Place, SpellError, VerifiedSpell, find_spell, read_strict};
use grail_types::{MockAllowed, Network};

use crate::hex_text;
use crate::report::{
    Charm, Claimed, FileVerdict, PlaceView, SpellApp, SpellOutput, SpellView, StrictView,
    VerdictName, VersionedApp, diagnostic,
};

/// Longest file that is read: a transaction that fills a block, in hexadecimal, with line breaks.
pub const FILE_BYTES_MAX: u64 = 9_000_000;
/// The name that stands for standard input.
const STDIN: &str = "-";

/// Why a file holds no transaction.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("longer than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("not hexadecimal: {0}")]
    Hex(String),
    #[error("not one Bitcoin transaction: {0}")]
    Transaction(String),
}

impl FileError {
    const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "file-unreadable",
            Self::TooLarge => "file-too-large",
            Self::Hex(_) => "hex-malformed",
            Self::Transaction(_) => "transaction-malformed",
        }
    }
}

/// Judges every file by the rules of `network`; `stdin` is what `-` reads.
pub fn verify(
    files: &[impl AsRef<Path>],
    network: Network,
    stdin: &mut dyn Read,
) -> Vec<FileVerdict> {
    files
        .iter()
        .map(|file| judge_file(file.as_ref(), network, stdin))
        .collect()
}

fn judge_file(file: &Path, network: Network, stdin: &mut dyn Read) -> FileVerdict {
    let name = file.display().to_string();
    let read = if file.as_os_str() == STDIN {
        read_transaction(stdin)
    } else {
        File::open(file)
            .map_err(FileError::from)
            .and_then(|mut file| read_transaction(&mut file))
    };
    match read {
        Ok(transaction) => judge(name, &transaction, network),
        Err(error) => FileVerdict {
            code: Some(error.code()),
            reason: Some(error.to_string()),
            ..FileVerdict::new(name, VerdictName::Unreadable)
        },
    }
}

fn read_transaction(source: &mut dyn Read) -> Result<Transaction, FileError> {
    let mut text = Vec::new();
    source
        .take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    text.retain(|byte| !byte.is_ascii_whitespace());
    let bytes =
        hex::decode(&text).map_err(|error| FileError::Hex(hex_text::explained(error, &text)))?;
    deserialize(&bytes).map_err(|error| FileError::Transaction(error.to_string()))
}

fn judge(name: String, transaction: &Transaction, network: Network) -> FileVerdict {
    let mock = MockAllowed::on(network);
    let txid = Some(transaction.compute_txid().to_string());
    match read_compatible(transaction, mock) {
        Ok(Some(spell)) => FileVerdict {
            txid,
            spell: Some(view(
                transaction,
                &spell,
                read_strict(transaction, mock).err(),
                network,
            )),
            ..FileVerdict::new(name, VerdictName::Valid)
        },
        Ok(None) => FileVerdict {
            txid,
            code: Some("no-spell"),
            reason: Some("nothing in the transaction claims to be a spell".to_owned()),
            ..FileVerdict::new(name, VerdictName::NoSpell)
        },
        Err(error) => FileVerdict {
            txid,
            code: Some(error.code()),
            reason: Some(error.to_string()),
            claimed: claimed(transaction),
            ..FileVerdict::new(name, VerdictName::Invalid)
        },
    }
}

/// What a spell that is not accepted says of itself.
fn claimed(transaction: &Transaction) -> Option<Claimed> {
    let found = find_spell(transaction).ok().flatten()?;
    Some(Claimed {
        version: found.spell.version,
        is_mock: found.spell.mock,
        place: place(found.place, transaction),
    })
}

fn view(
    transaction: &Transaction,
    verified: &VerifiedSpell,
    strict: Option<SpellError>,
    network: Network,
) -> SpellView {
    let spell = verified.spell();
    let committed: Vec<String> = outpoints(spell.tx.ins.as_deref());
    let apps = spell
        .app_public_inputs
        .iter()
        .map(|(app, input)| SpellApp {
            app: app.to_string(),
            tag: app.tag,
            public_input: diagnostic(input),
        })
        .collect();
    let outputs = (0_u32..)
        .zip(&transaction.output)
        .take(spell.tx.outs.len())
        .map(|(vout, output)| SpellOutput {
            output_index: vout,
            amount_sat: output.value.to_sat(),
            script: output.script_pubkey.to_hex_string(),
            address: bitcoin::Address::from_script(
                &output.script_pubkey,
                BitcoinNetwork::from(network),
            )
            .ok()
            .map(|address| address.to_string()),
            beamed_to: spell
                .tx
                .beamed_outs
                .as_ref()
                .and_then(|beamed| beamed.get(&vout))
                .map(ToString::to_string),
            charms: verified
                .charms_at(vout)
                .iter()
                .map(|(app, data)| Charm {
                    app: app.to_string(),
                    amount: (app.tag == charms_data::TOKEN)
                        .then(|| data.value().ok())
                        .flatten(),
                    data: diagnostic(data),
                })
                .collect(),
        })
        .collect();
    SpellView {
        version: verified.version(),
        is_mock: verified.is_mock(),
        place: place(verified.place(), transaction),
        strict: StrictView {
            is_strict: strict.is_none(),
            code: strict.as_ref().map(SpellError::code),
            reason: strict.map(|error| explain_strict(transaction, &error)),
        },
        uncommitted_inputs: transaction
            .input
            .iter()
            .map(|input| input.previous_output.to_string())
            .filter(|outpoint| !committed.contains(outpoint))
            .collect(),
        inputs: committed,
        references: outpoints(spell.tx.refs.as_deref()),
        has_committed_coins: spell.tx.coins.is_some(),
        apps,
        versioned_apps: spell
            .versioned_apps
            .iter()
            .map(|(vk, bound)| VersionedApp {
                vk: vk.to_string(),
                version: bound.version,
                wasm_hash: bound.wasm_hash.to_string(),
            })
            .collect(),
        scrolls: spell.tx.scrolls.iter().flatten().copied().collect(),
        outputs,
    }
}

fn outpoints(utxos: Option<&[charms_data::UtxoId]>) -> Vec<String> {
    utxos
        .unwrap_or_default()
        .iter()
        .map(|utxo| grail_charms::outpoint_from_utxo_id(utxo).to_string())
        .collect()
}

fn place(place: Place, transaction: &Transaction) -> PlaceView {
    match place {
        Place::OpReturn { output_index } => PlaceView::OpReturn { output_index },
        Place::Witness => PlaceView::Witness {
            input_index: transaction.input.len().saturating_sub(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &[u8]) -> Option<&'static str> {
        let mut source = text;
        let verdicts = verify(&[STDIN], Network::Mainnet, &mut source);
        verdicts.first().and_then(|verdict| verdict.code)
    }

    /// Version 2, one input without script, one output of nothing.
    const PLAIN: &str = "0200000001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0000000000ffffffff01000000000000000000 00000000";

    #[test]
    fn white_space_is_tolerated_and_nothing_else() {
        let lines = PLAIN.replace(' ', "\r\n\t ");
        assert_eq!(code_of(PLAIN.as_bytes()), Some("no-spell"));
        assert_eq!(code_of(lines.as_bytes()), Some("no-spell"));
        assert_eq!(code_of(b"0x02"), Some("hex-malformed"));
        assert_eq!(code_of(b"020"), Some("hex-malformed"));
        assert_eq!(code_of(b"\xff\xfe"), Some("hex-malformed"));
        assert_eq!(code_of(b""), Some("transaction-malformed"));
        let twice = [PLAIN, PLAIN].concat();
        assert_eq!(code_of(twice.as_bytes()), Some("transaction-malformed"));
    }

    #[test]
    fn files_are_bounded() {
        let at_limit = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap_or(0)];
        assert_eq!(code_of(&at_limit), Some("transaction-malformed"));
        let above = [at_limit, vec![b' ']].concat();
        assert_eq!(code_of(&above), Some("file-too-large"));
    }
}
