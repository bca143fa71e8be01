//! What is the app's: its cells, in and out, at home.

use bitcoin::{Amount, TxOut};
use grail_spell::charms_app;

use super::Scene;
use crate::refusal::Refusal;

/// Every input before the orders lies at home and carries the app's charm, and so does every such
/// output; nothing else does.
pub(super) fn check(scene: &Scene<'_>) -> Result<(), Refusal> {
    let app = charms_app(scene.request.app.charm());
    let home = &scene.home.script_pubkey;
    for (input_index, spent) in scene.outline.spent.iter().enumerate() {
        let is_cell = input_index < scene.cells_in;
        let carries = scene.outline.charms(input_index)?.contains_key(&app);
        // A coin at home without the charm: the contract would not know that it is its own.
        let is_at_home = spent.output.script_pubkey == *home;
        if carries != is_cell || is_at_home != is_cell {
            return Err(Refusal::AppInput { input_index });
        }
    }
    let spell = scene.framed.spell.spell();
    let index = spell.app_index(&app);
    let outputs = scene.proposal.transaction.output.iter();
    for (output_index, output) in outputs.take(scene.framed.committed).enumerate() {
        let wrong = |reason| {
            Err(Refusal::AppOutput {
                output_index,
                reason,
            })
        };
        let charms = spell.tx.outs.get(output_index);
        let carries = index
            .zip(charms)
            .is_some_and(|(index, out)| out.contains_key(&index));
        let is_cell = output_index < scene.cells_out;
        match (is_cell, carries, output.script_pubkey == *home) {
            (true, true, true) | (false, false, false) => {}
            (true, false, _) => return wrong("a cell without the app's charm"),
            (true, true, false) => return wrong("a cell away from home"),
            (false, true, _) => return wrong("the app's charm in somebody's hand"),
            (false, false, true) => return wrong("an order that pays the app's home"),
        }
        check_dust(output_index, output)?;
    }
    // The one output that no proof commits to: at home it would be nobody's.
    let uncommitted = scene
        .proposal
        .transaction
        .output
        .get(scene.framed.committed);
    if uncommitted.is_some_and(|output| output.script_pubkey == *home) {
        return Err(Refusal::ProverFee {
            got: scene.framed.prover_fee.unwrap_or(Amount::ZERO),
            reason: "it pays the app's home, where the contract does not count it",
        });
    }
    Ok(())
}

fn check_dust(output_index: usize, output: &TxOut) -> Result<(), Refusal> {
    if output.value < output.script_pubkey.minimal_non_dust() {
        return Err(Refusal::Dust { output_index });
    }
    Ok(())
}
