//! A backend that tries to make the operator believe what the chain does not say.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::house::{House, Rotation, state_of};
use grail_fixtures::world as support;

use bitcoin::{
    Transaction, Witness,
    opcodes::{
        OP_0,
        all::{OP_ENDIF, OP_IF, OP_RETURN},
    },
    script::{Builder, PushBytesBuf},
};
use grail_charms::{charms_of, token_amount, transfer_spell};
use grail_policy::approve;
use grail_spell::{token_app, without_witnesses};
use grail_types::{MockAllowed, Network};
use support::{
    Draft, World, coin, keypair, output, p2wpkh, peg_in, peg_out, prove, public, real_world,
    transaction, world,
};

/// The transaction with a spell in its last input's witness, as protocol versions before 9 had it
/// and later ones still accept.
fn with_witness_spell(world: &World, transfer: &Transaction, amounts: &[u64]) -> Transaction {
    let spell = transfer_spell(transfer, &world.bridge.app, amounts).unwrap();
    let proven = prove(world.wasm, spell, &[&world.genesis]);
    let op_return = proven.op_return;
    let payload = op_return.instructions().nth(2).unwrap().unwrap();
    let payload = payload.push_bytes().unwrap().as_bytes().to_vec();
    let start = Builder::new()
        .push_opcode(OP_0)
        .push_opcode(OP_IF)
        .push_slice(b"spell");
    let script = payload
        .chunks(520)
        .fold(start, |script, chunk| {
            script.push_slice(PushBytesBuf::try_from(chunk.to_vec()).unwrap())
        })
        .push_opcode(OP_ENDIF)
        .into_script();
    let control_block = [[0xc0].as_slice(), &[2; 32]].concat();
    let mut forged = transfer.clone();
    forged.input.last_mut().unwrap().witness =
        Witness::from_slice(&[script.as_bytes(), &control_block]);
    forged
}

/// A settlement of the peg-out number `served`, whose deposit is output `served` of `made`.
fn settlement_of(world: &World, made: &Transaction, served: usize) -> Draft {
    let pegs = [peg_out(700_000), peg_out(700_000)];
    let (mut deposit, _) = world.deposits(1, &pegs).remove(served);
    deposit.coin = coin(made, u32::try_from(served).unwrap());
    world.case_of(vec![(deposit, made.clone())], &|_| {}).draft
}

#[test]
fn charms_that_a_witness_alone_speaks_of_do_not_count() {
    // A transaction that spends zkBTC and carries no spell. Its id does not commit to its witness,
    // so the backend can show it with any: with one that gives the zkBTC to the first output,
    // with one that gives it to the second. Were both believed, 700,000 satoshis of zkBTC would
    // be paid out twice.
    let world = world();
    let terms = [1, 2].map(|nonce| world.terms(&peg_out(700_000), nonce));
    let [first, second] = terms.map(|terms| world.deposit_script(&terms));
    let rest = world.circulating() - 700_000;
    let spent = coin(&world.genesis, 2).outpoint;
    let outputs = vec![
        output(330, first),
        output(330, second),
        output(330, p2wpkh(9)),
    ];
    let bare = transaction(&[spent], outputs);

    for (served, amounts) in [[700_000, rest].as_slice(), &[1, 700_000, rest - 1]]
        .into_iter()
        .enumerate()
    {
        let forged = with_witness_spell(world, &bare, amounts);
        assert_eq!(forged.compute_txid(), bare.compute_txid());
        // The spell is sound, so that only the operator's doubt stands against it.
        let regtest = MockAllowed::on(Network::Regtest);
        let charms = charms_of(&forged, u32::try_from(served).unwrap(), regtest);
        assert_eq!(
            token_amount(&charms, &token_app(&world.bridge.app)),
            Ok(700_000)
        );
        let draft = settlement_of(world, &forged, served);
        assert_eq!(draft.refusal(world), "unexpected-charms");
    }
}

#[test]
fn what_a_previous_transaction_was_signed_with_does_not_matter() {
    let world = world();
    let mut proposal = world.usual().draft.propose(world);
    assert_eq!(world.refusal(&proposal), "approved");
    for made in &mut proposal.previous {
        for input in &mut made.input {
            input.witness = Witness::from_slice(&[[7; 64].as_slice(), &[0xc0; 33]]);
        }
    }
    assert_eq!(world.refusal(&proposal), "approved");
}

#[test]
fn a_refusal_does_not_repeat_a_long_text_of_the_asker() {
    let world = world();
    let mut proposal = world.usual().draft.propose(world);
    // A map whose "version" is a text of 60,000 letters: a decoder could quote it.
    let mut payload = vec![0x82, 0xa1, 0x67];
    payload.extend(b"version");
    payload.extend([0x79, 0xea, 0x60]);
    payload.extend(vec![b'a'; 60_000]);
    payload.push(0x80);
    let script = Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(PushBytesBuf::try_from(payload).unwrap())
        .into_script();
    proposal
        .transaction
        .output
        .last_mut()
        .unwrap()
        .script_pubkey = script;
    let record = world.approve(&proposal).unwrap_err().record();
    assert_eq!(record.code.as_str(), "spell-invalid");
    assert!(record.details.as_str().len() < 200, "{}", record.details);
}

/// A world whose NFT was handed, by nobody, to a house of the attacker's in which one honest
/// operator sits. The contract lets anybody prove it.
fn off_chain(world: &World) -> World {
    let mut keys: Vec<_> = (700..715).map(keypair).collect();
    keys.push(world.keys[0]);
    let own = House::new(&world.secp, 0, world.keys.clone(), 12);
    let house = House::new(&world.secp, 1, keys, 12);
    let rotation = Rotation {
        bridge: &world.bridge,
        wasm: world.wasm,
        made: &world.genesis,
        funding: None,
        from: &own,
        to: &house,
    };
    World {
        secp: world.secp.clone(),
        wasm: world.wasm,
        bridge: world.bridge,
        images: world.images.clone(),
        params: world.params.clone(),
        governance: world.governance.clone(),
        deployment: world.deployment.clone(),
        genesis: without_witnesses(&rotation.signed_by(0).transaction),
        state: state_of(&house, &world.state),
        keys: house.keys,
        roster: house.roster,
        former: None,
        vault: house.vault,
    }
}

#[test]
fn an_nft_proven_off_chain_is_worth_a_signature_that_no_block_takes() {
    let world = real_world();
    let forged = off_chain(world);
    let honest = public(&world.keys[0]);
    let proposal = forged.case(&[peg_in(1_000_000)]).draft.propose(&forged);
    let approved = approve(&world.secp, &proposal.wire(), &world.bridge, &honest).unwrap();
    // What is signed spends an output of a transaction that nobody's witness lets into a block.
    let signing = approved.get().signing();
    let made = forged.genesis.compute_txid();
    assert_eq!(signing.transaction.input[0].previous_output.txid, made);
    assert_eq!(signing.transaction.input[1].previous_output.txid, made);
    // The true vault's coin does not come along: neither in the vault's place nor as one more. The
    // bridge's contract proves neither; under one that agrees to everything the policy refuses.
    let (world, forged) = (support::world(), off_chain(support::world()));
    let vault = coin(&world.genesis, 1).outpoint;
    let mut draft = forged.case(&[peg_in(1_000_000)]).draft;
    draft.transaction.input[1].previous_output = vault;
    draft.previous.push(world.genesis.clone());
    assert_eq!(draft.refusal(&forged), "vault-not-spent");
    let mut draft = forged.case(&[peg_in(1_000_000)]).draft;
    draft.transaction.input.push(support::input(vault));
    draft.previous.push(world.genesis.clone());
    assert_eq!(draft.refusal(&forged), "wrong-count");
}
