//! A second action beside the bridge's: neither passes for the other.

use bitcoin::{Amount, Transaction};
use grail_script::ProbeTree;
use grail_types::{BoundedVec, Roster};
use grail_wire::{Action, ProbeRequest, Proposal, SettlementRequest};

use crate::{
    refusals,
    support::{World, code, coin, funding, input, output, p2wpkh, public, transaction, world},
    usual,
};

/// A probe coin of the world's roster moves on, all but its fee.
fn probe() -> Proposal {
    let world = world();
    let script = ProbeTree::new(&world.secp, &world.roster).script_pubkey;
    let made = funding(88, vec![output(100_000, script.clone())]);
    let moved = transaction(&[coin(&made, 0).outpoint], vec![output(90_000, script)]);
    proposal_of(world, moved, &[made])
}

fn proposal_of(world: &World, moved: Transaction, made: &[Transaction]) -> Proposal {
    let request = ProbeRequest {
        roster: world.roster.clone(),
    };
    Proposal::new(
        world.roster.epoch(),
        world.params.clone(),
        world.governance.clone(),
        moved,
        made,
        Action::Probe(request),
    )
    .unwrap()
}

/// What every signer of the roster says.
fn judged(proposal: &Proposal) -> &'static str {
    let World {
        secp, bridge, keys, ..
    } = world();
    let said = |key| code(&grail_policy::approve(secp, proposal, bridge, &public(key)));
    let first = said(&keys[0]);
    assert!(keys.iter().all(|key| said(key) == first));
    first
}

fn changed(change: fn(&World, &mut Proposal)) -> &'static str {
    let mut proposal = probe();
    change(world(), &mut proposal);
    judged(&proposal)
}

fn as_settlement() -> Action {
    Action::Settlement(SettlementRequest {
        requests: BoundedVec::default(),
        former: None,
    })
}

#[test]
fn a_probe_is_approved() {
    assert_eq!(judged(&probe()), "approved");
}

/// The same transaction under each action: one of them at most.
#[test]
fn a_transaction_is_of_one_action_alone() {
    let settlement = usual().propose(world()).wire();
    assert_eq!(judged(&settlement), "approved");
    let mut mislabelled = settlement;
    mislabelled.action = probe().action;
    assert_eq!(judged(&mislabelled), "wrong-action");
    let mut mislabelled = probe();
    mislabelled.action = as_settlement();
    assert_eq!(judged(&mislabelled), "spell-invalid");
}

refusals! {
    refuses_a_settlement_called_a_probe => "wrong-action": {
        let mut settlement = usual().propose(world()).wire();
        settlement.action = probe().action;
        judged(&settlement)
    };
    refuses_the_nft_among_probe_coins => "wrong-action": {
        let world = world();
        let script = ProbeTree::new(&world.secp, &world.roster).script_pubkey;
        let moved = transaction(&[world.nft().outpoint], vec![output(900, script)]);
        judged(&proposal_of(world, moved, std::slice::from_ref(&world.genesis)))
    };
    refuses_the_vault_among_probe_coins => "unknown-template": {
        let world = world();
        let script = ProbeTree::new(&world.secp, &world.roster).script_pubkey;
        let moved = transaction(&[world.vault_coin().outpoint], vec![output(900, script)]);
        judged(&proposal_of(world, moved, std::slice::from_ref(&world.genesis)))
    };
    refuses_an_output_that_no_section_claims => "unclaimed": changed(|_, proposal| {
        proposal.transaction.output[0].value -= Amount::from_sat(1_000);
        proposal.transaction.output.push(output(1_000, p2wpkh(9)));
    });
    refuses_a_probe_coin_of_another_roster => "unknown-template": changed(|world, proposal| {
        let signers = world.roster.signers()[..4].to_vec();
        let threshold = grail_types::Threshold(3);
        let roster = Roster::new(world.roster.epoch(), signers, threshold).unwrap();
        proposal.action = Action::Probe(ProbeRequest { roster });
    });
    refuses_a_second_input_that_is_no_probe_coin => "unknown-template": {
        let world = world();
        let script = ProbeTree::new(&world.secp, &world.roster).script_pubkey;
        let made = funding(88, vec![output(100_000, script.clone()), output(5_000, p2wpkh(1))]);
        let mut moved = transaction(&[coin(&made, 0).outpoint], vec![output(90_000, script)]);
        moved.input.push(input(coin(&made, 1).outpoint));
        judged(&proposal_of(world, moved, &[made]))
    };
}
