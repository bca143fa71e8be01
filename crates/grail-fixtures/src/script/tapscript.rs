//! BIP-341 and BIP-342 by hand, as far as Grail's templates use them: says whether an input's
//! witness satisfies its output.

use bitcoin::{
    Script, Sequence, Transaction, TxOut, XOnlyPublicKey,
    opcodes::all::{
        OP_CHECKSIG, OP_CHECKSIGADD, OP_CSV, OP_DROP, OP_NUMEQUAL, OP_PUSHNUM_1, OP_PUSHNUM_16,
    },
    script::{Instruction, read_scriptint},
    secp256k1::{Message, Parity, Secp256k1, schnorr::Signature},
};

use super::reference::{Spend, leaf_hash, output_key, p2tr, root_of};

/// Bytes of an element above which relay refuses a tapscript spend.
const ELEMENT_MAX_BYTES: usize = 80;
const SIGNATURE_COST: i64 = 50;

/// Verifies every input of a signed transaction that spends taproot outputs only.
pub fn verify_all(transaction: &Transaction, prevouts: &[TxOut]) -> Result<(), String> {
    (0..transaction.input.len()).try_for_each(|index| {
        verify(transaction, prevouts, index).map_err(|reason| format!("input {index}: {reason}"))
    })
}

/// Verifies one input.
pub fn verify(transaction: &Transaction, prevouts: &[TxOut], index: usize) -> Result<(), String> {
    let witness = transaction.input[index].witness.to_vec();
    if let [signature] = witness.as_slice() {
        return verify_key_path(transaction, prevouts, index, signature);
    }
    let [elements @ .., script, control_block] = witness.as_slice() else {
        return Err("no script path".to_owned());
    };
    let [first, rest @ ..] = control_block.as_slice() else {
        return Err("no control block".to_owned());
    };
    let script = Script::from_bytes(script);
    let (version, parity) = (first & 0xfe, first & 1);
    let leaf = leaf_hash(version, script);
    let root = root_of(control_block, leaf).ok_or("control block's size")?;
    let internal = rest.first_chunk().ok_or("no internal key")?;
    let (key, key_parity) = output_key(internal, Some(root)).ok_or("internal key is no point")?;
    if prevouts[index].script_pubkey != p2tr(&key) || (parity == 1) != (key_parity == Parity::Odd) {
        return Err("the leaf is not in the output's tree".to_owned());
    }
    if version != 0xc0 {
        return Err("not a tapscript".to_owned());
    }
    if elements
        .iter()
        .any(|element| element.len() > ELEMENT_MAX_BYTES)
    {
        return Err("an element too large to relay".to_owned());
    }
    let weight = bitcoin::consensus::serialize(&transaction.input[index].witness).len();
    Machine {
        spend: Spend {
            transaction,
            prevouts,
            input_index: index,
            hash_type: 0,
            leaf: Some(leaf),
        },
        stack: elements.to_vec(),
        budget: i64::try_from(weight).map_err(|error| error.to_string())? + SIGNATURE_COST,
    }
    .run(script)
}

/// A single element is a signature under the output key.
fn verify_key_path(
    transaction: &Transaction,
    prevouts: &[TxOut],
    input_index: usize,
    signature: &[u8],
) -> Result<(), String> {
    let [0x51, 0x20, key @ ..] = prevouts[input_index].script_pubkey.as_bytes() else {
        return Err("not a taproot output".to_owned());
    };
    // 65 bytes would be another sighash type, of which no template makes use.
    if signature.len() != 64 {
        return Err(format!("a signature of {} bytes", signature.len()));
    }
    let sighash = Spend {
        transaction,
        prevouts,
        input_index,
        hash_type: 0,
        leaf: None,
    }
    .sighash();
    let key = XOnlyPublicKey::from_slice(key).map_err(|error| error.to_string())?;
    let signature = Signature::from_slice(signature).map_err(|error| error.to_string())?;
    Secp256k1::verification_only()
        .verify_schnorr(&signature, &Message::from_digest(sighash), &key)
        .map_err(|_| "the key path's signature does not verify".to_owned())
}

struct Machine<'a> {
    spend: Spend<'a>,
    stack: Vec<Vec<u8>>,
    budget: i64,
}

impl Machine<'_> {
    fn run(mut self, script: &Script) -> Result<(), String> {
        for instruction in script.instructions_minimal() {
            self.step(instruction.map_err(|error| error.to_string())?)?;
        }
        match self.stack.as_slice() {
            [top] if is_true(top) => Ok(()),
            [_] => Err("the script ends in false".to_owned()),
            stack => Err(format!("{} elements are left", stack.len())),
        }
    }

    fn step(&mut self, instruction: Instruction<'_>) -> Result<(), String> {
        match instruction {
            Instruction::PushBytes(bytes) => self.stack.push(bytes.as_bytes().to_vec()),
            Instruction::Op(OP_DROP) => drop(self.pop()?),
            Instruction::Op(OP_CHECKSIG) => {
                let (key, signature) = (self.pop()?, self.pop()?);
                let valid = self.check(&key, &signature)?;
                self.stack.push(number(i64::from(valid)));
            }
            Instruction::Op(OP_CHECKSIGADD) => {
                let (key, count, signature) = (self.pop()?, self.pop_number()?, self.pop()?);
                let valid = self.check(&key, &signature)?;
                self.stack.push(number(count + i64::from(valid)));
            }
            Instruction::Op(OP_NUMEQUAL) => {
                let equal = self.pop_number()? == self.pop_number()?;
                self.stack.push(number(i64::from(equal)));
            }
            Instruction::Op(OP_CSV) => self.check_sequence()?,
            Instruction::Op(op)
                if (OP_PUSHNUM_1.to_u8()..=OP_PUSHNUM_16.to_u8()).contains(&op.to_u8()) =>
            {
                let value = op.to_u8() - OP_PUSHNUM_1.to_u8() + 1;
                self.stack.push(number(i64::from(value)));
            }
            Instruction::Op(op) => return Err(format!("{op} is in no template")),
        }
        Ok(())
    }

    /// An empty signature is a no, a wrong one ends the script.
    fn check(&mut self, key: &[u8], signature: &[u8]) -> Result<bool, String> {
        let key = XOnlyPublicKey::from_slice(key).map_err(|error| error.to_string())?;
        if signature.is_empty() {
            return Ok(false);
        }
        self.budget -= SIGNATURE_COST;
        if self.budget < 0 {
            return Err("too many signature checks for the witness".to_owned());
        }
        let signature = Signature::from_slice(signature).map_err(|error| error.to_string())?;
        let message = Message::from_digest(self.spend.sighash());
        Secp256k1::verification_only()
            .verify_schnorr(&signature, &message, &key)
            .map_err(|_| "a signature does not verify".to_owned())?;
        Ok(true)
    }

    /// BIP-112 for relative locks by height.
    fn check_sequence(&mut self) -> Result<(), String> {
        let top = self.stack.last().ok_or("the stack is empty")?;
        let delay = u16::try_from(read_scriptint(top).map_err(|error| error.to_string())?)
            .map_err(|_| "not a lock by height")?;
        let transaction = self.spend.transaction;
        let sequence = transaction.input[self.spend.input_index].sequence;
        let old_enough = transaction.version.0 >= 2
            && sequence.is_height_locked()
            && sequence.to_consensus_u32() & 0xffff
                >= Sequence::from_height(delay).to_consensus_u32();
        if old_enough {
            Ok(())
        } else {
            Err(format!("spent before {delay} blocks"))
        }
    }

    fn pop(&mut self) -> Result<Vec<u8>, String> {
        self.stack
            .pop()
            .ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop_number(&mut self) -> Result<i64, String> {
        read_scriptint(&self.pop()?).map_err(|error| error.to_string())
    }
}

fn number(value: i64) -> Vec<u8> {
    let mut bytes = [0; 8];
    let length = bitcoin::script::write_scriptint(&mut bytes, value);
    bytes[..length].to_vec()
}

fn is_true(element: &[u8]) -> bool {
    element.iter().any(|byte| *byte != 0)
}
