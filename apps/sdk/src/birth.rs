//! S3, births: a birth is exact as a clearing is, and reads no facts.

use grail_app_facts::{AppId, cbor::Writer};
use sha2::{Digest as _, Sha256};

use crate::{
    app::{ASSETS_MAX, App},
    clearing::MAIN_CARRIER_SAT,
    keys::{Key, raw_script},
    read::{NULL, Shown, find},
    rules::check_coins,
    state::{MainState, is_p2tr},
    violation::Violation,
};

/// Public input of a birth, a text.
pub const CREATE: &str = "create";
/// Tags of assets that no app pools: Charms moves `t` and `n` without their contract (ADR 5) and
/// binds `s` to Scrolls' addresses.
const REFUSED_ASSET_TAGS: [char; 3] = ['t', 'n', 's'];

/// The public input of a birth, as CBOR.
pub fn create_input() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text(CREATE);
    writer.finish()
}

/// Identity of the app whose birth spends this outpoint first: no two births can spend it.
pub fn identity_of(first_input: &[u8; 36]) -> [u8; 32] {
    Sha256::digest(first_input).into()
}

/// The charm of the main cell of an app that is born with this configuration at this script, as
/// CBOR.
pub fn born<A: App>(app: &AppId, config: A::Config, home: [u8; 34]) -> Result<Vec<u8>, Violation> {
    check_assets::<A>(app, &config)?;
    let state = A::create(&config).map_err(Violation::BirthRefused)?;
    let state = MainState {
        home,
        birth: home,
        serial: 0,
        shares: 0,
        config,
        state,
    };
    state.encode().map_err(|error| Violation::State(0, error))
}

/// Judges the spell that makes an app.
pub fn check_birth<A: App>(shown: &Shown<'_>) -> Result<(), Violation> {
    if shown.w != NULL {
        return Err(Violation::BirthPrivateInput);
    }
    let (_, coins) = check_coins(shown)?;
    let app = shown.judged()?;
    let first = shown.ins.first().ok_or(Violation::Identity)?;
    if app.identity != identity_of(first.outpoint) {
        return Err(Violation::Identity);
    }
    let share = A::TAGS.share.map(|tag| Key::new(app.with_tag(tag)));
    let is_own =
        |key: &[u8]| key == shown.app || share.as_ref().is_some_and(|share| &*share.raw == key);
    let mut came = shown.ins.iter().flat_map(|input| &input.charms);
    if came.any(|(key, _)| is_own(key)) {
        return Err(Violation::BirthSpends);
    }
    let mut went = shown.outs.iter().flatten();
    if went.any(|(key, _)| *key != shown.app && is_own(key)) {
        return Err(Violation::BirthShares);
    }
    let mut others = shown.outs.iter().skip(1);
    let Some(([(key, state)], coin)) = shown.outs.first().map(Vec::as_slice).zip(coins.first())
    else {
        // No charm, or one more: holdings, unless there is no charm of the app.
        let main = shown.outs.first().and_then(|it| find(it, shown.app));
        return Err(match main {
            Some(_) => Violation::BirthHoldings,
            None => Violation::BirthCount,
        });
    };
    if *key != shown.app || others.any(|charms| find(charms, shown.app).is_some()) {
        return Err(Violation::BirthCount);
    }
    if coin.amount != MAIN_CARRIER_SAT {
        return Err(Violation::BirthCoin(coin.amount));
    }
    let claimed = MainState::<A::Config, A::State>::decode(state)
        .map_err(|error| Violation::State(0, error))?;
    let home = claimed.home;
    // Home and birth are the script that the coin lies at: `born` makes both of the one.
    if !is_p2tr(&home) || raw_script(&home) != coin.script {
        return Err(Violation::NotAtHome(0));
    }
    if born::<A>(&app, claimed.config, home)? != *state {
        return Err(Violation::BirthState);
    }
    Ok(())
}

fn check_assets<A: App>(app: &AppId, config: &A::Config) -> Result<(), Violation> {
    let assets = A::assets(config);
    let is_own = |asset: &AppId| asset.identity == app.identity && asset.vk == app.vk;
    let is_refused = |asset: &AppId| REFUSED_ASSET_TAGS.contains(&asset.tag) || is_own(asset);
    let ascends = |pair: &[AppId]| matches!(pair, [one, next] if one < next);
    if assets.len() > ASSETS_MAX || assets.iter().any(is_refused) || !assets.windows(2).all(ascends)
    {
        return Err(Violation::BirthAssets);
    }
    Ok(())
}
