//! What an output carries, for every way in which its transaction's spell can be read: one table.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::PushBytesBuf;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use charms_data::{App, B32, Data};
use common::{at, false_real_proof, funding, mock_allowed, output, roster, transaction};
use grail_charms::PrevTx;
use grail_prover::MockProver;
use grail_spell::{
    BridgeCharms, NormalizedCharms, NormalizedSpell, NormalizedTransaction, PreviousBatch, Proof,
    SpellError, nft_app, token_app,
};
use grail_types::{BridgeApp, MockAllowed};

const BRIDGE: BridgeApp = BridgeApp {
    identity: [7; 32],
    vk: [8; 32],
};

/// Unknown is never nothing. `nothing` means: a plain coin to Charms of this and of every later
/// day. The four columns of an output that is here, then the four of one that its spell beams away.
///
/// Rows of version 16 are of a protocol that nobody knows yet. A mock can be of it all the same, as
/// for Charms; what a real proof of it is, nobody can say, hence one reason in all rows below.
const EXPECTED: &str = "\
spell                  version  refused for              none     zkBTC    NFT      other    | none     zkBTC    NFT      other
no spell               14       -                        nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
no spell               15       -                        nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
no spell               16       -                        nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
valid                  14       -                        nothing  other    other    other    | other    other    other    other
valid                  15       -                        nothing  token    nft      other    | other    other    other    other
valid                  16       -                        other    other    other    other    | other    other    other    other
transaction too large  14       TransactionTooLarge      other    other    other    other    | other    other    other    other
transaction too large  15       TransactionTooLarge      other    other    other    other    | other    other    other    other
transaction too large  16       TransactionTooLarge      other    other    other    other    | other    other    other    other
two spell outputs      14       SeveralOpReturns         other    other    other    other    | other    other    other    other
two spell outputs      15       SeveralOpReturns         other    other    other    other    | other    other    other    other
two spell outputs      16       SeveralOpReturns         other    other    other    other    | other    other    other    other
payload in two pushes  14       Payload                  other    other    other    other    | other    other    other    other
payload in two pushes  15       Payload                  other    other    other    other    | other    other    other    other
payload in two pushes  16       Payload                  other    other    other    other    | other    other    other    other
payload cut short      14       Cbor                     other    other    other    other    | other    other    other    other
payload cut short      15       Cbor                     other    other    other    other    | other    other    other    other
payload cut short      16       Cbor                     other    other    other    other    | other    other    other    other
payload too long       14       PayloadTooLong           other    other    other    other    | other    other    other    other
payload too long       15       PayloadTooLong           other    other    other    other    | other    other    other    other
payload too long       16       PayloadTooLong           other    other    other    other    | other    other    other    other
inputs listed          14       InputsPresent            other    other    other    other    | other    other    other    other
inputs listed          15       InputsPresent            other    other    other    other    | other    other    other    other
inputs listed          16       InputsPresent            other    other    other    other    | other    other    other    other
outputs that are not   14       TooManyOutputs           other    other    other    other    | other    other    other    other
outputs that are not   15       TooManyOutputs           other    other    other    other    | other    other    other    other
outputs that are not   16       TooManyOutputs           other    other    other    other    | other    other    other    other
app not listed         14       AppIndex                 other    other    other    other    | other    other    other    other
app not listed         15       AppIndex                 other    other    other    other    | other    other    other    other
app not listed         16       AppIndex                 other    other    other    other    | other    other    other    other
mock, false            14       MockFalse                other    other    other    other    | other    other    other    other
mock, false            15       MockFalse                other    other    other    other    | other    other    other    other
mock, false            16       MockFalse                other    other    other    other    | other    other    other    other
mock, a byte behind    14       MockPoint                other    other    other    other    | other    other    other    other
mock, a byte behind    15       MockPoint                other    other    other    other    | other    other    other    other
mock, a byte behind    16       MockPoint                other    other    other    other    | other    other    other    other
mock off regtest       14       MockRefused              nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
mock off regtest       15       MockRefused              nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
mock off regtest       16       Version                  other    other    other    other    | other    other    other    other
proof too short        14       Length                   other    other    other    other    | other    other    other    other
proof too short        15       Length                   other    other    other    other    | other    other    other    other
proof too short        16       Version                  other    other    other    other    | other    other    other    other
proof of another key   14       KeyPrefix                other    other    other    other    | other    other    other    other
proof of another key   15       KeyPrefix                other    other    other    other    | other    other    other    other
proof of another key   16       Version                  other    other    other    other    | other    other    other    other
proof of another root  14       VkRoot                   other    other    other    other    | other    other    other    other
proof of another root  15       VkRoot                   other    other    other    other    | other    other    other    other
proof of another root  16       Version                  other    other    other    other    | other    other    other    other
proof of a failed run  14       ExitCode                 nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof of a failed run  15       ExitCode                 nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof of a failed run  16       Version                  other    other    other    other    | other    other    other    other
proof of no point      14       Point                    nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof of no point      15       Point                    nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof of no point      16       Version                  other    other    other    other    | other    other    other    other
proof, false           14       False                    nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof, false           15       False                    nothing  nothing  nothing  nothing  | nothing  nothing  nothing  nothing
proof, false           16       Version                  other    other    other    other    | other    other    other    other
";

/// A transaction with a spell, in pieces: what a reading of the table changes.
struct Case {
    /// Without the spell's output.
    tx: Transaction,
    /// Wire form.
    spell: NormalizedSpell,
    proof: Proof,
    mock: Option<MockAllowed>,
    outputs: fn(Vec<u8>) -> Vec<ScriptBuf>,
}

type Change = fn(&mut Case);

const READINGS: [(&str, Change); 19] = [
    ("no spell", |case| case.outputs = |_| Vec::new()),
    ("valid", |_| {}),
    ("transaction too large", |case| {
        case.tx.output.resize(112_000, TxOut::NULL);
    }),
    ("two spell outputs", |case| {
        case.outputs = |payload| vec![script(&[&payload]), script(&[&payload])];
    }),
    ("payload in two pushes", |case| {
        case.outputs = |payload| vec![script(&[&payload[..50], &payload[50..]])];
    }),
    ("payload cut short", |case| {
        case.outputs = |payload| vec![script(&[&payload[..payload.len() - 1]])];
    }),
    ("payload too long", |case| {
        case.outputs = |mut payload| {
            payload.resize(400_001, 0);
            vec![script(&[&payload])]
        };
    }),
    ("inputs listed", |case| case.spell.tx.ins = Some(Vec::new())),
    ("outputs that are not", |case| {
        case.spell.tx.outs.resize(4, NormalizedCharms::new());
    }),
    ("app not listed", |case| {
        case.spell.tx.outs[1].insert(9, Data::empty());
    }),
    ("mock, false", |case| {
        case.tx.input[0].previous_output.vout ^= 1;
    }),
    ("mock, a byte behind", |case| case.proof.push(0)),
    ("mock off regtest", |case| case.mock = None),
    ("proof too short", |case| {
        real(case, |proof| proof.truncate(99));
    }),
    ("proof of another key", |case| {
        real(case, |proof| proof[0] ^= 1);
    }),
    ("proof of another root", |case| {
        real(case, |proof| proof[50] ^= 1);
    }),
    ("proof of a failed run", |case| {
        real(case, |proof| proof[35] = 1);
    }),
    ("proof of no point", |case| {
        real(case, |proof| proof[131] ^= 1);
    }),
    ("proof, false", |case| real(case, |_| {})),
];

fn real(case: &mut Case, change: fn(&mut Proof)) {
    case.spell.mock = false;
    case.proof = false_real_proof();
    change(&mut case.proof);
}

fn script(pushes: &[&[u8]]) -> ScriptBuf {
    pushes
        .iter()
        .fold(
            ScriptBuf::builder()
                .push_opcode(OP_RETURN)
                .push_slice(b"spell"),
            |script, push| script.push_slice(PushBytesBuf::try_from(push.to_vec()).unwrap()),
        )
        .into_script()
}

/// What output 0 carries, by the spell.
fn charms() -> [Option<(App, Data)>; 4] {
    let other = App {
        tag: 'x',
        identity: B32([1; 32]),
        vk: B32([2; 32]),
    };
    [
        None,
        Some((token_app(&BRIDGE), Data::from(&700_u64))),
        Some((nft_app(&BRIDGE), roster(0, 0).to_data())),
        Some((other, Data::from(&1))),
    ]
}

fn case(charm: Option<(App, Data)>, version: u32, beamed: bool) -> Case {
    let coin = funding(1, &[1_000]);
    let tx = transaction(&[at(&coin, 0)], vec![output(330, 1), output(330, 2)]);
    let (apps, carried) = charm
        .map(|(app, data)| ([(app, Data::empty())].into(), [(0, data)].into()))
        .unwrap_or_default();
    let spell = NormalizedSpell {
        version,
        tx: NormalizedTransaction {
            outs: vec![carried, NormalizedCharms::new()],
            beamed_outs: beamed.then(|| [(0, B32([9; 32]))].into()),
            ..NormalizedTransaction::default()
        },
        app_public_inputs: apps,
        mock: true,
        ..NormalizedSpell::default()
    };
    let proven = MockProver::new(mock_allowed())
        .prove_unchecked(&spell.clone().committed_to(&tx).unwrap())
        .unwrap();
    Case {
        tx,
        spell,
        proof: proven.proof,
        mock: Some(mock_allowed()),
        outputs: |payload| vec![script(&[&payload])],
    }
}

/// What a person calls the reason: the variant's name.
fn reason(error: Option<&SpellError>) -> String {
    let Some(error) = error else {
        return "-".to_owned();
    };
    let text = format!("{error:?}");
    let (_, inner) = text.split_once('(').unwrap();
    inner
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}

fn word(carried: &BridgeCharms) -> &'static str {
    match carried {
        BridgeCharms::Nothing => "nothing",
        BridgeCharms::Token(700) => "token",
        BridgeCharms::Nft(Ok(_)) => "nft",
        BridgeCharms::Other => "other",
        BridgeCharms::Token(_) | BridgeCharms::Nft(Err(_)) => "wrong",
    }
}

/// What both ways to read a previous transaction say of output 0, and why its spell was refused.
fn read(case: &Case) -> (&'static str, String) {
    let mut payload = Vec::new();
    ciborium::into_writer(&(&case.spell, &case.proof), &mut payload).unwrap();
    let mut tx = case.tx.clone();
    let spells = (case.outputs)(payload).into_iter();
    tx.output.extend(spells.map(|script_pubkey| TxOut {
        value: Amount::ZERO,
        script_pubkey,
    }));
    let whole = PrevTx::read_committed(&tx, case.mock);
    let mut batch = PreviousBatch::new(&BRIDGE, case.mock);
    batch.read(&tx, &[0]);
    let kept = batch.finish(&[1; 32]).remove(0);
    let carried = whole.bridge_charms(0, &BRIDGE);
    assert_eq!(kept.spent(0).unwrap().carried, carried);
    assert_eq!(kept.rejected(), whole.rejected());
    (word(&carried), reason(whole.rejected()))
}

#[test]
fn only_what_is_known_to_carry_nothing_carries_nothing() {
    let mut table = EXPECTED.lines().next().unwrap().to_owned() + "\n";
    for (name, change) in READINGS {
        for version in [14, 15, 16] {
            let mut reasons = BTreeSet::new();
            let mut half = |beamed| {
                let words = charms().map(|charm| {
                    let mut case = case(charm, version, beamed);
                    change(&mut case);
                    let (word, reason) = read(&case);
                    reasons.insert(reason);
                    format!("{word:<9}")
                });
                words.concat()
            };
            let (here, beamed) = (half(false), half(true));
            assert_eq!(reasons.len(), 1, "{name} {version}: {reasons:?}");
            let why = reasons.pop_first().unwrap();
            let line = format!("{name:<23}{version:<9}{why:<25}{here}| {beamed}");
            writeln!(table, "{}", line.trim_end()).unwrap();
        }
    }
    assert_eq!(table, EXPECTED, "\n{table}");
}
