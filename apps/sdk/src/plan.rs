//! A clearing planned: the same layout that the contract demands, for those who build the
//! transaction.

use grail_app_facts::{AppId, Facts, OUTPOINT_BYTES, cbor::Writer, public_input};

use crate::{
    app::App,
    clearing::{Made, Spent, lay_out},
    keys::{Key, raw_app, raw_script},
    violation::Violation,
};

/// A coin with its charms: what a clearing spends and makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCoin {
    /// Where it lies.
    pub script: Vec<u8>,
    /// Satoshis.
    pub amount: u64,
    /// Data of each app as CBOR, by ascending app.
    pub charms: Vec<(AppId, Vec<u8>)>,
}

/// What a clearing's spell is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The spell's outputs, in order.
    pub outputs: Vec<PlannedCoin>,
    /// The app's public input, as CBOR.
    pub public_input: Vec<u8>,
    /// The app's private input, as CBOR.
    pub private_input: Vec<u8>,
}

/// The clearing of `facts` that spends `inputs`, in their order: the one that
/// [`judge`](crate::judge) accepts.
pub fn plan<A: App>(
    app: &AppId,
    facts: &Facts,
    inputs: &[([u8; OUTPOINT_BYTES], PlannedCoin)],
) -> Result<Plan, Violation> {
    // As the runner would show them.
    let shown: Vec<_> = inputs.iter().map(|(_, coin)| raw_coin(coin)).collect();
    let charms: Vec<Vec<(&[u8], &[u8])>> = shown
        .iter()
        .map(|(_, charms)| {
            let charms = charms.iter();
            charms.map(|(key, data)| (&key[..], *data)).collect()
        })
        .collect();
    let spent: Vec<Spent<'_>> = inputs
        .iter()
        .zip(&shown)
        .zip(&charms)
        .map(|(((outpoint, coin), (script, _)), charms)| Spent {
            outpoint,
            script,
            coin: coin.amount,
            charms,
        })
        .collect();
    let encoded = facts.encode();
    // What the contract could not read back is no plan.
    Facts::decode(&encoded).map_err(Violation::Facts)?;
    let made = lay_out::<A>(Key::new(app.clone()), facts, &spent)?;
    let mut private_input = Writer::default();
    private_input.bytes(&encoded);
    Ok(Plan {
        outputs: made.into_iter().map(planned).collect::<Result<_, _>>()?,
        public_input: public_input(&grail_app_facts::hash(&encoded)),
        private_input: private_input.finish(),
    })
}

type RawCharms<'a> = Vec<(Vec<u8>, &'a [u8])>;

fn raw_coin(coin: &PlannedCoin) -> (Vec<u8>, RawCharms<'_>) {
    let mut charms: RawCharms<'_> = coin
        .charms
        .iter()
        .map(|(app, data)| (raw_app(app), data.as_slice()))
        .collect();
    charms.sort();
    (raw_script(&coin.script), charms)
}

fn planned(made: Made) -> Result<PlannedCoin, Violation> {
    Ok(PlannedCoin {
        script: crate::read::script_of(&made.script)?,
        amount: made.coin,
        charms: made
            .charms
            .into_iter()
            .map(|(key, data)| ((*key.app).clone(), data))
            .collect(),
    })
}
