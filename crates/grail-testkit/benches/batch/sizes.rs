//! How many vbytes requests take, from signed settlements.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Transaction;
use grail_policy::Signing;
use grail_script::Sighashes;
use grail_txbuild::Collector;
use grail_wire::{Contribution, Contributions};

use grail_fixtures::world as support;

use support::{Peg, World, peg_in, peg_out, public, real_world};

/// Requests of the batches.
const BATCHES: [usize; 3] = [1, 10, 100];
const QUORUM: usize = 12;
/// What each request is about.
const AMOUNT: u64 = 1_000_000;

/// What the request at an index asks for.
type Mix = fn(usize) -> Peg;

/// Prints vB per request of batches of one kind, and of both by halves.
pub fn of_batches() {
    let world = real_world();
    let mixes: [(&str, Mix); 3] = [
        ("peg-ins", |_| peg_in(AMOUNT)),
        ("peg-outs", |_| peg_out(AMOUNT)),
        ("half peg-ins, half peg-outs", |index| {
            if index % 2 == 0 {
                peg_in(AMOUNT)
            } else {
                peg_out(AMOUNT)
            }
        }),
    ];
    println!("| Batch of | Requests | vB | vB per request | spell, vB per request |");
    println!("|---|---|---|---|---|");
    for (name, mix) in mixes {
        let mut sizes = Vec::new();
        for requests in BATCHES {
            let pegs: Vec<Peg> = (0..requests).map(mix).collect();
            let signed = settlement(world, &pegs);
            let vsize = signed.vsize();
            let spell = signed.output.last().unwrap().size();
            println!(
                "| {name} | {requests} | {vsize} | {:.1} | {:.1} |",
                per(vsize, requests),
                per(spell, requests)
            );
            sizes.push((requests, vsize));
        }
        let [.., (ten, some), (hundred, many)] = sizes[..] else {
            return;
        };
        let slope = per(many - some, hundred - ten);
        let base = per(many, 1) - slope * per(hundred, 1);
        println!("| {name} | n | {base:.0} + {slope:.1} n | | |");
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn per(total: usize, count: usize) -> f64 {
    total as f64 / count as f64
}

/// A settlement of these pegs that also spends NFT and vault, signed by a quorum.
fn settlement(world: &World, pegs: &[Peg]) -> Transaction {
    let proposal = world.case(pegs).draft.propose(world);
    let approved = world.approve(&proposal).unwrap();
    let signing = approved.get().signing();
    let signed = sign(world, signing);
    assert_eq!(signed.weight(), signing.weight, "the policy's weight");
    signed
}

fn sign(world: &World, signing: &Signing) -> Transaction {
    let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
    let messages: Vec<_> = signing
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| sighashes.of(index, &input.spend).unwrap())
        .collect();
    let collector = Collector::new(signing.clone()).unwrap();
    let signatures: BTreeMap<_, _> = world
        .keys
        .iter()
        .take(QUORUM)
        .map(|key| {
            let contributions = (0..)
                .zip(&messages)
                .map(|(input_index, message)| Contribution::Signature {
                    input_index,
                    signature: world.secp.sign_schnorr_no_aux_rand(message, key),
                })
                .collect();
            let contributions = Contributions::new(contributions).unwrap();
            let signer = public(key);
            let checked = collector.check(&world.secp, &signer, &contributions);
            (signer, checked.unwrap())
        })
        .collect();
    collector.complete(&signatures).unwrap()
}

/// Prints the sizes of the inputs of a settlement, each shape once.
pub fn of_inputs(settlement: &Transaction) {
    println!(
        "{} inputs, {} vB, {} WU\n",
        settlement.input.len(),
        settlement.vsize(),
        settlement.weight()
    );
    println!("| First input of its shape | Leaf | Control block | Witness | Input |");
    println!("|---|---|---|---|---|");
    let mut seen = BTreeSet::new();
    for (index, input) in settlement.input.iter().enumerate() {
        let leaf = input.witness.taproot_leaf_script().unwrap().script.len();
        let control_block = input.witness.taproot_control_block().unwrap().len();
        // Outpoint, length of the empty script, sequence; then a quarter of the witness.
        let (witness, base) = (input.witness.size(), input.base_size());
        if seen.insert((leaf, control_block, witness)) {
            println!(
                "| {index} | {leaf} B | {control_block} B | {witness} WU | {:.2} vB |",
                per(4 * base + witness, 4)
            );
        }
    }
}
