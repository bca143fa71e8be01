//! Changes of the scripts and witnesses around a payload, and of where it sits.

use bitcoin::opcodes::all::{OP_ENDIF, OP_IF, OP_RETURN};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness};

use super::{Base, Site};

/// The first push of every spell.
pub const MARKER: &[u8] = b"spell";
/// Longest push that Bitcoin's script rules allow; Charms cut the payload of a witness so.
pub const CHUNK_BYTES: usize = 520;

const LEAF_VERSION: u8 = 0xc0;

/// One change.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The spell's script, of these parts.
    Script(Layout),
    /// The spell's output gets this value.
    Value(u64),
    /// The spell's output at another index.
    Move(usize),
    /// One more spell output.
    Second {
        /// Its script.
        script: ScriptBuf,
        /// Before all outputs, not after.
        first: bool,
    },
    /// The payload in a new output at this index; the old place keeps it too, if so said.
    ToOutput {
        /// The output's index.
        index: usize,
        /// Whether it stays where it was.
        copy: bool,
    },
    /// The payload in the witness of an input; the old place keeps it too, if so said.
    ToWitness {
        /// The input's index.
        input: usize,
        /// The leaf.
        leaf: Leaf,
        /// Bytes of the control block.
        control_block: usize,
        /// Witness items before the leaf script.
        items_before: usize,
        /// With an annex.
        annex: bool,
        /// Whether the payload stays where it was.
        copy: bool,
    },
}

/// The parts of an `OP_RETURN` script.
#[derive(Clone, Debug)]
pub struct Layout {
    first: Vec<u8>,
    marker: Vec<u8>,
    marker_width: usize,
    payload_width: usize,
    chunk: usize,
    after: Vec<u8>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            first: vec![OP_RETURN.to_u8()],
            marker: MARKER.to_vec(),
            marker_width: 0,
            payload_width: 0,
            chunk: usize::MAX,
            after: vec![],
        }
    }
}

/// The parts of a witness's leaf script.
#[derive(Clone, Debug)]
pub struct Leaf {
    before: Vec<u8>,
    chunk: usize,
    width: usize,
    between: Vec<u8>,
    end: Vec<u8>,
    twice: bool,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            before: leaf_head(MARKER),
            chunk: CHUNK_BYTES,
            width: 0,
            between: vec![],
            end: vec![OP_ENDIF.to_u8()],
            twice: false,
        }
    }
}

impl Edit {
    /// Every change around the payload of `base`.
    pub fn all(base: &Base) -> Vec<Self> {
        let Some(carried) = &base.carried else {
            return vec![];
        };
        let outputs = base.tx.output.len();
        let mut all = vec![];
        if matches!(carried.site, Site::Output(_)) {
            all.extend(layouts().into_iter().map(Self::Script));
            all.extend([1, u64::MAX].map(Self::Value));
            all.extend((0..outputs).map(Self::Move));
        }
        let seconds = [
            op_return(&carried.payload),
            op_return(&[]),
            op_return(b"garbage"),
            Builder::new()
                .push_opcode(OP_RETURN)
                .push_slice(b"spell")
                .into_script(),
        ];
        for script in seconds {
            for first in [true, false] {
                let script = script.clone();
                all.push(Self::Second { script, first });
            }
        }
        for copy in [true, false] {
            all.extend((0..=outputs).map(|index| Self::ToOutput { index, copy }));
            for leaf in leaves() {
                let input = base.tx.input.len().saturating_sub(1);
                all.push(Self::to_witness(input, leaf, copy));
            }
            all.extend(Self::witness_shapes(base, copy));
        }
        all
    }

    fn to_witness(input: usize, leaf: Leaf, copy: bool) -> Self {
        Self::ToWitness {
            input,
            leaf,
            control_block: 33,
            items_before: 1,
            annex: false,
            copy,
        }
    }

    fn witness_shapes(base: &Base, copy: bool) -> Vec<Self> {
        let inputs = base.tx.input.len();
        let last = inputs.saturating_sub(1);
        let mut shapes: Vec<Self> = (0..inputs)
            .map(|input| Self::to_witness(input, Leaf::default(), copy))
            .collect();
        for control_block in [0, 1, 32, 33, 34, 65] {
            for items_before in [0, 1, 5] {
                for annex in [false, true] {
                    shapes.push(Self::ToWitness {
                        input: last,
                        leaf: Leaf::default(),
                        control_block,
                        items_before,
                        annex,
                        copy,
                    });
                }
            }
        }
        shapes
    }

    /// The changed transaction.
    pub fn apply(&self, base: &Base) -> Option<Transaction> {
        let carried = base.carried.as_ref()?;
        let mut tx = base.tx.clone();
        match self {
            Self::Script(layout) => {
                let Site::Output(index) = carried.site else {
                    return None;
                };
                tx.output.get_mut(index)?.script_pubkey = layout.script(&carried.payload);
            }
            Self::Value(sats) => {
                let Site::Output(index) = carried.site else {
                    return None;
                };
                tx.output.get_mut(index)?.value = Amount::from_sat(*sats);
            }
            Self::Move(to) => {
                let Site::Output(index) = carried.site else {
                    return None;
                };
                if index >= tx.output.len() || *to >= tx.output.len() {
                    return None;
                }
                let output = tx.output.remove(index);
                tx.output.insert(*to, output);
            }
            Self::Second { script, first } => {
                let at = if *first { 0 } else { tx.output.len() };
                tx.output.insert(at, spell_output(script.clone()));
            }
            Self::ToOutput { index, copy } => {
                if !copy {
                    take_out(&mut tx, carried.site)?;
                }
                let at = (*index).min(tx.output.len());
                let output = spell_output(op_return(&carried.payload));
                tx.output.insert(at, output);
            }
            Self::ToWitness {
                input,
                leaf,
                control_block,
                items_before,
                annex,
                copy,
            } => {
                if !copy {
                    take_out(&mut tx, carried.site)?;
                }
                let mut items = vec![vec![1; 64]; *items_before];
                items.push(leaf.script(&carried.payload).into_bytes());
                let control = [[LEAF_VERSION].as_slice(), &[2; 64]].concat();
                items.push(control.get(..*control_block)?.to_vec());
                if *annex {
                    items.push(vec![0x50, 1, 2]);
                }
                tx.input.get_mut(*input)?.witness = Witness::from_slice(&items);
            }
        }
        Some(tx)
    }
}

impl Layout {
    fn script(&self, payload: &[u8]) -> ScriptBuf {
        let mut bytes = self.first.clone();
        push(&mut bytes, &self.marker, self.marker_width);
        for chunk in payload.chunks(self.chunk.min(payload.len()).max(1)) {
            push(&mut bytes, chunk, self.payload_width);
        }
        bytes.extend(&self.after);
        ScriptBuf::from_bytes(bytes)
    }
}

impl Leaf {
    fn script(&self, payload: &[u8]) -> ScriptBuf {
        let mut once = self.before.clone();
        for chunk in payload.chunks(self.chunk) {
            push(&mut once, chunk, self.width);
            once.extend(&self.between);
        }
        once.extend(&self.end);
        let count = if self.twice { 2 } else { 1 };
        ScriptBuf::from_bytes(once.repeat(count))
    }
}

fn layouts() -> Vec<Layout> {
    let mut layouts: Vec<Layout> = (0..=u8::MAX)
        .filter(|&byte| byte != OP_RETURN.to_u8())
        .map(|byte| Layout {
            first: vec![byte],
            ..Layout::default()
        })
        .collect();
    let firsts = [
        vec![],
        vec![0x6a, 0x6a],
        vec![0x6a, 0x00],
        vec![0x01, 0x6a],
        vec![0x4c, 0x00],
        vec![0x4d, 0, 0],
    ];
    layouts.extend(firsts.map(|first| Layout {
        first,
        ..Layout::default()
    }));
    for marker in [&b""[..], b"spel", b"Spell", b"spell\0", b"spells"] {
        layouts.push(Layout {
            marker: marker.to_vec(),
            ..Layout::default()
        });
    }
    for width in [1, 2, 4] {
        layouts.push(Layout {
            marker_width: width,
            ..Layout::default()
        });
        layouts.push(Layout {
            payload_width: width,
            ..Layout::default()
        });
    }
    for chunk in [100, 520, 75] {
        layouts.push(Layout {
            chunk,
            ..Layout::default()
        });
    }
    let afters = [
        vec![0x00],
        vec![0x51],
        vec![0x6a],
        vec![0x05],
        vec![0x4c],
        vec![0x4e, 1, 0],
        vec![0xff],
        vec![0x01, 0x01],
    ];
    layouts.extend(afters.map(|after| Layout {
        after,
        ..Layout::default()
    }));
    layouts
}

fn leaves() -> Vec<Leaf> {
    let mut leaves = vec![Leaf {
        twice: true,
        ..Leaf::default()
    }];
    for chunk in [1, 75, 76, 255, 256, 519, 521, usize::MAX] {
        leaves.push(Leaf {
            chunk,
            ..Leaf::default()
        });
    }
    for width in [1, 2, 4] {
        leaves.push(Leaf {
            width,
            ..Leaf::default()
        });
    }
    for between in [
        vec![0x00],
        vec![0x51],
        vec![0x60],
        vec![0x4f],
        vec![0x61],
        vec![0x6a],
        vec![0x4c, 0x00],
        vec![0x68],
    ] {
        leaves.push(Leaf {
            between,
            ..Leaf::default()
        });
    }
    for end in [
        vec![],
        vec![0x67],
        vec![0x68, 0x51],
        vec![0x68, 0xff],
        vec![0x68, 0x4c],
        vec![0x00, 0x68],
        vec![0x4c],
        vec![0x05, 0x68],
    ] {
        leaves.push(Leaf {
            end,
            ..Leaf::default()
        });
    }
    let mut with_key = vec![0x20];
    with_key.extend([2; 32]);
    with_key.push(0xac);
    with_key.extend(leaf_head(MARKER));
    let befores = [
        vec![],
        leaf_head(b"Spell"),
        leaf_head(b""),
        [&[0x4c, 0x00][..], &leaf_head(MARKER)[1..]].concat(),
        [&[0x51][..], &leaf_head(MARKER)[1..]].concat(),
        [&[0x00, 0x64][..], &leaf_head(MARKER)[2..]].concat(),
        with_key,
    ];
    leaves.extend(befores.map(|before| Leaf {
        before,
        ..Leaf::default()
    }));
    leaves
}

/// `OP_0 OP_IF` and the marker.
fn leaf_head(marker: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x00, OP_IF.to_u8()];
    push(&mut bytes, marker, 0);
    bytes
}

/// Takes the payload's place away.
fn take_out(tx: &mut Transaction, site: Site) -> Option<()> {
    match site {
        Site::Output(index) if index < tx.output.len() => {
            tx.output.remove(index);
        }
        Site::Output(_) => return None,
        Site::Witness => tx.input.last_mut()?.witness = Witness::new(),
    }
    Some(())
}

/// Pushes `data` with a length of at least `width` bytes: 0 (in the opcode), 1, 2 or 4.
fn push(out: &mut Vec<u8>, data: &[u8], width: usize) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    let least = match data.len() {
        0..=75 => 0,
        76..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    match width.max(least) {
        0 => out.push(length[0]),
        1 => out.extend([0x4c, length[0]]),
        2 => out.extend([0x4d, length[0], length[1]]),
        _ => {
            out.push(0x4e);
            out.extend(length);
        }
    }
    out.extend(data);
}

/// The script that Charms writes.
///
/// # Panics
/// When the payload is longer than any push.
pub fn op_return(payload: &[u8]) -> ScriptBuf {
    let payload = PushBytesBuf::try_from(payload.to_vec()).expect("payloads are short");
    Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(payload)
        .into_script()
}

/// The leaf script that Charms wrote before version 9.
pub fn envelope(payload: &[u8], chunk: usize) -> ScriptBuf {
    let leaf = Leaf {
        chunk,
        ..Leaf::default()
    };
    leaf.script(payload)
}

/// `witness` with another leaf script; `None` where there was none.
pub fn with_leaf(witness: &Witness, leaf: ScriptBuf) -> Option<Witness> {
    let mut items = witness.to_vec();
    let old = witness.taproot_leaf_script()?.script.as_bytes();
    let at = items.iter().rposition(|item| item == old)?;
    items[at] = leaf.into_bytes();
    Some(Witness::from_slice(&items))
}

fn spell_output(script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: Amount::ZERO,
        script_pubkey,
    }
}
