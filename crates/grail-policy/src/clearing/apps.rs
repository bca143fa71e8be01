//! What else the spell may name: whatever moves, and nothing that would be told something.

use charms_data::App;
use grail_spell::{charms_app, nft_app};

use super::Scene;
use crate::refusal::Refusal;

/// The app is named; every other app that is named moves here and has a public input of nothing.
/// One with an input of its own would rely on facts that nobody looked at.
pub(super) fn check(scene: &Scene<'_>) -> Result<(), Refusal> {
    let own = charms_app(scene.request.app.charm());
    let named = &scene.framed.spell.spell().app_public_inputs;
    if !named.contains_key(&own) {
        return Err(Refusal::AppList("the app is not named"));
    }
    let others = named.iter().filter(|(app, _)| **app != own);
    for (app, input) in others {
        if *app == nft_app(&scene.bridge.app) {
            return Err(Refusal::AppList("the roster NFT takes no part"));
        }
        if !input.is_empty() {
            return Err(Refusal::AppList("only the app itself is told something"));
        }
        if !moves(scene, app)? {
            return Err(Refusal::AppList("an app is named of which nothing moves"));
        }
    }
    Ok(())
}

/// Whether an input or an output carries a charm of `app`.
fn moves(scene: &Scene<'_>, app: &App) -> Result<bool, Refusal> {
    let mut comes_in = false;
    for input_index in 0..scene.outline.spent.len() {
        comes_in |= scene.outline.charms(input_index)?.contains_key(app);
    }
    let spell = scene.framed.spell.spell();
    let index = spell.app_index(app);
    let goes_out =
        index.is_some_and(|index| spell.tx.outs.iter().any(|out| out.contains_key(&index)));
    Ok(comes_in || goes_out)
}
