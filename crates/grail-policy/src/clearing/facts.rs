//! What operators saw of the clearing, against what its contract was shown.

use charms_data::Data;
use grail_app_facts::{AppId, Asset, Coin, Destination, Facts, Order, Want, public_input};
use grail_spell::{charms_app, utxo_id_from_outpoint};
use grail_types::{Age, CharmApp, OrderCoin};

use super::{Placed, Scene};
use crate::refusal::Refusal;

/// Builds the facts from transaction and terms alone, and compares their hash with the public input
/// that the contract ran with. Returns the hash.
pub(super) fn check(scene: &Scene<'_>, placed: &[Placed<'_>]) -> Result<[u8; 32], Refusal> {
    let hash = seen(scene, placed)?.hash();
    let named = &scene.framed.spell.spell().app_public_inputs;
    let shown = named.get(&charms_app(scene.request.app.charm()));
    let expected = Data::try_from_bytes(&public_input(&hash)).map_err(|_| Refusal::Overflow)?;
    if shown == Some(&expected) {
        Ok(hash)
    } else {
        Err(Refusal::AppFacts)
    }
}

fn seen(scene: &Scene<'_>, placed: &[Placed<'_>]) -> Result<Facts, Refusal> {
    let transaction = &scene.proposal.transaction;
    let sequence = transaction.input.first().map(|input| input.sequence);
    // The outline has let no other sequences and lock times through.
    let age = sequence.and_then(Age::from_sequence).unwrap_or_default();
    let orders = placed.iter().map(|it| order(scene, it));
    Ok(Facts {
        home: None,
        lock_height: transaction.lock_time.to_consensus_u32(),
        age: age.0,
        cells_in: u16::try_from(scene.cells_in).map_err(|_| Refusal::Overflow)?,
        prices: Vec::new(),
        orders: orders.collect::<Result<_, _>>()?,
    })
}

fn order(scene: &Scene<'_>, placed: &Placed<'_>) -> Result<Order, Refusal> {
    let terms = &placed.terms;
    let input = scene.proposal.transaction.input.get(placed.input_index);
    let input = input.ok_or(Refusal::Overflow)?;
    let destination = Destination::try_from(terms.destination.script().as_bytes());
    let unfit = |_| Refusal::TermsUnfit {
        request: placed.tree.request,
        reason: "no contract knows such a destination",
    };
    Ok(Order {
        outpoint: utxo_id_from_outpoint(input.previous_output).to_bytes(),
        id: placed.tree.request.0,
        destination: destination.map_err(unfit)?,
        coin: match terms.coin {
            OrderCoin::Keep => Coin::Keep,
            OrderCoin::Offer { keep } => Coin::Offer {
                keep: keep.to_sat(),
            },
        },
        fee_share: placed.order.fee_share.to_sat(),
        author: terms.authored.then(|| terms.reclaim_key.serialize()),
        wants: terms.wants.iter().map(want).collect(),
        payload: terms.payload.to_vec(),
    })
}

fn want(want: &grail_types::Want) -> Want {
    Want {
        asset: match &want.asset {
            grail_types::Asset::Btc => Asset::Btc,
            grail_types::Asset::Charm(app) => Asset::Charm(app_id(app)),
        },
        amount: want.amount,
    }
}

fn app_id(app: &CharmApp) -> AppId {
    AppId {
        tag: app.tag,
        identity: app.identity,
        vk: app.vk,
    }
}
