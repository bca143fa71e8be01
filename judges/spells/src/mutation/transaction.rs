//! Changes of inputs and outputs.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Another version.
    Version(i32),
    /// Another lock time.
    LockTime(u32),
    /// A change of one input.
    Input(usize, Input),
    /// A change of one output.
    Output(usize, Output),
    /// All inputs, one place further.
    RotateInputs,
    /// All outputs, one place further.
    RotateOutputs,
    /// No witnesses.
    StripWitnesses,
}

/// What happens to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Spends another output.
    Vout,
    /// Spends of another transaction.
    Txid,
    /// Another sequence.
    Sequence,
    /// A script.
    Script,
    /// Left out.
    Drop,
    /// Twice.
    Double,
    /// Changes places with the next.
    Swap,
    /// Becomes the last.
    ToEnd,
    /// A foreign one before it.
    Insert,
    /// Loses its witness.
    Strip,
}

/// What happens to an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A satoshi more.
    More,
    /// A satoshi less.
    Less,
    /// The largest number.
    Most,
    /// Another last byte of the script.
    ScriptByte,
    /// A longer script.
    ScriptMore,
    /// No script.
    ScriptNone,
    /// Left out.
    Drop,
    /// Twice.
    Double,
    /// Changes places with the next.
    Swap,
    /// Becomes the first.
    ToFront,
    /// Becomes the last.
    ToEnd,
    /// A foreign one before it.
    Insert,
}

const INPUTS: [Input; 10] = [
    Input::Vout,
    Input::Txid,
    Input::Sequence,
    Input::Script,
    Input::Drop,
    Input::Double,
    Input::Swap,
    Input::ToEnd,
    Input::Insert,
    Input::Strip,
];
const OUTPUTS: [Output; 12] = [
    Output::More,
    Output::Less,
    Output::Most,
    Output::ScriptByte,
    Output::ScriptMore,
    Output::ScriptNone,
    Output::Drop,
    Output::Double,
    Output::Swap,
    Output::ToFront,
    Output::ToEnd,
    Output::Insert,
];

impl Edit {
    /// Every change of `base`.
    pub fn all(base: &super::Base) -> Vec<Self> {
        let mut all = vec![
            Self::Version(1),
            Self::Version(3),
            Self::LockTime(1),
            Self::RotateInputs,
            Self::RotateOutputs,
            Self::StripWitnesses,
        ];
        for index in 0..base.tx.input.len() {
            all.extend(INPUTS.map(|change| Self::Input(index, change)));
        }
        for index in 0..base.tx.output.len() {
            all.extend(OUTPUTS.map(|change| Self::Output(index, change)));
        }
        all
    }

    /// The changed transaction.
    pub fn apply(self, tx: &Transaction) -> Option<Transaction> {
        let mut tx = tx.clone();
        match self {
            Self::Version(version) => tx.version = Version(version),
            Self::LockTime(height) => tx.lock_time = LockTime::from_consensus(height),
            Self::Input(index, change) => change.apply(&mut tx.input, index)?,
            Self::Output(index, change) => change.apply(&mut tx.output, index)?,
            Self::RotateInputs if !tx.input.is_empty() => tx.input.rotate_right(1),
            Self::RotateOutputs if !tx.output.is_empty() => tx.output.rotate_right(1),
            Self::RotateInputs | Self::RotateOutputs => return None,
            Self::StripWitnesses => tx
                .input
                .iter_mut()
                .for_each(|input| input.witness = Witness::new()),
        }
        Some(tx)
    }
}

impl Input {
    fn apply(self, inputs: &mut Vec<TxIn>, index: usize) -> Option<()> {
        let input = inputs.get_mut(index)?;
        match self {
            Self::Vout => input.previous_output.vout ^= 1,
            Self::Txid => {
                let mut txid = input.previous_output.txid.to_byte_array();
                txid[31] ^= 1;
                input.previous_output.txid = Txid::from_byte_array(txid);
            }
            Self::Sequence => input.sequence = Sequence(input.sequence.0 ^ 1),
            Self::Script => input.script_sig = ScriptBuf::from_bytes(vec![0x51]),
            Self::Drop => {
                inputs.remove(index);
            }
            Self::Double => {
                let input = input.clone();
                inputs.insert(index, input);
            }
            Self::Swap => swap(inputs, index)?,
            Self::ToEnd => {
                let input = inputs.remove(index);
                inputs.push(input);
            }
            Self::Insert => inputs.insert(index, foreign_input()),
            Self::Strip => input.witness = Witness::new(),
        }
        Some(())
    }
}

impl Output {
    fn apply(self, outputs: &mut Vec<TxOut>, index: usize) -> Option<()> {
        let output = outputs.get_mut(index)?;
        let mut script = output.script_pubkey.to_bytes();
        match self {
            Self::More => output.value = output.value.checked_add(Amount::from_sat(1))?,
            Self::Less => output.value = output.value.checked_sub(Amount::from_sat(1))?,
            Self::Most => output.value = Amount::from_sat(u64::MAX),
            Self::ScriptByte => {
                *script.last_mut()? ^= 1;
                output.script_pubkey = script.into();
            }
            Self::ScriptMore => {
                script.push(0x51);
                output.script_pubkey = script.into();
            }
            Self::ScriptNone => output.script_pubkey = ScriptBuf::new(),
            Self::Drop => {
                outputs.remove(index);
            }
            Self::Double => {
                let output = output.clone();
                outputs.insert(index, output);
            }
            Self::Swap => swap(outputs, index)?,
            Self::ToFront => {
                let output = outputs.remove(index);
                outputs.insert(0, output);
            }
            Self::ToEnd => {
                let output = outputs.remove(index);
                outputs.push(output);
            }
            Self::Insert => outputs.insert(index, foreign_output()),
        }
        Some(())
    }
}

fn swap<T>(items: &mut [T], index: usize) -> Option<()> {
    let next = index.checked_add(1).filter(|next| *next < items.len())?;
    items.swap(index, next);
    Some(())
}

fn foreign_input() -> TxIn {
    TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array([0xf0; 32]),
            vout: 3,
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    }
}

fn foreign_output() -> TxOut {
    TxOut {
        value: Amount::from_sat(777),
        script_pubkey: ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[0xf0; 32]].concat()),
    }
}
