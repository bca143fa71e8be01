//! The verdict about one app of a spell.

use grail_app_facts::{
    Facts,
    cbor::{Reader, Writer},
};

use crate::{
    app::App,
    birth::{check_birth, create_input},
    clearing::{Made, Spent, lay_out},
    history::check_history,
    keys::Key,
    read::{NULL, Shown, ShownCoin, amount_of, find},
    violation::Violation,
};

/// Judges what the runner shows about one app of a spell: its main charm or its share.
///
/// A spell obeys the app when this accepts each of the two that the spell lists.
pub fn judge<A: App>(bytes: &[u8]) -> Result<(), Violation> {
    let shown = Shown::read(bytes)?;
    if shown.refs != 0 {
        return Err(Violation::References);
    }
    if shown.tag == A::TAGS.main {
        if shown.x == create_input() {
            return check_birth::<A>(&shown);
        }
        check_clearing::<A>(&shown)
    } else if Some(shown.tag) == A::TAGS.share {
        check_share::<A>(&shown)
    } else {
        Err(Violation::Tag(shown.tag))
    }
}

/// One coin for each input and each output, of Bitcoin.
pub fn check_coins<'s, 'a>(
    shown: &'s Shown<'a>,
) -> Result<(&'s [ShownCoin<'a>], &'s [ShownCoin<'a>]), Violation> {
    let (Some(ins), Some(outs)) = (&shown.coin_ins, &shown.coin_outs) else {
        return Err(Violation::CoinsMissing);
    };
    if (ins.len(), outs.len()) != (shown.ins.len(), shown.outs.len()) {
        return Err(Violation::CoinCount);
    }
    if ins.iter().chain(outs).any(|coin| coin.is_foreign) {
        return Err(Violation::ForeignCoin);
    }
    Ok((ins, outs))
}

/// S4 to S8 and S10: the spell is exactly what facts and inputs make of it.
fn check_clearing<A: App>(shown: &Shown<'_>) -> Result<(), Violation> {
    check_history(shown, shown.app)?;
    let (coin_ins, coin_outs) = check_coins(shown)?;
    let facts = named_facts(shown)?;
    let inputs = shown.ins.iter().zip(coin_ins);
    let spent: Vec<Spent<'_>> = inputs
        .map(|(input, coin)| Spent {
            outpoint: input.outpoint,
            script: coin.script,
            coin: coin.amount,
            charms: &input.charms,
        })
        .collect();
    let app = shown.judged()?;
    let made = lay_out::<A>(Key::new(app), &facts, &spent)?;
    if made.len() != shown.outs.len() {
        return Err(Violation::OutputCount);
    }
    for (index, (made, (charms, coin))) in made
        .iter()
        .zip(shown.outs.iter().zip(coin_outs))
        .enumerate()
    {
        check_output(index, made, charms, coin)?;
    }
    Ok(())
}

fn check_output(
    index: usize,
    made: &Made,
    charms: &[(&[u8], &[u8])],
    coin: &ShownCoin<'_>,
) -> Result<(), Violation> {
    let expected = made
        .charms
        .iter()
        .map(|(key, data)| (&*key.raw, data.as_slice()));
    if !expected.eq(charms.iter().copied()) {
        return Err(Violation::OutputCharms(index));
    }
    if made.coin != coin.amount {
        return Err(Violation::OutputCoin(index));
    }
    if made.script != coin.script {
        return Err(Violation::OutputScript(index));
    }
    Ok(())
}

/// S4: the private input is the facts whose hash the public input names.
fn named_facts(shown: &Shown<'_>) -> Result<Facts, Violation> {
    let mut reader = Reader::new(shown.w);
    let encoded = reader.bytes().map_err(|_| Violation::FactsHash)?;
    reader.end().map_err(|_| Violation::FactsHash)?;
    let hash = grail_app_facts::hash(encoded);
    if shown.x != grail_app_facts::public_input(&hash) {
        let mut named = Reader::new(shown.x);
        let is_named = named.array_of(2).is_ok() && named.uint::<u64>() == Ok(1);
        return Err(if is_named {
            Violation::FactsHash
        } else {
            Violation::FactsUnnamed
        });
    }
    Facts::decode(encoded).map_err(Violation::Facts)
}

/// S9: shares are conserved, or the main cell comes in and goes out, whose own run then accounts
/// for the difference.
///
/// It does run: Charms runs every app that the spell lists, and the main tag is none that it moves
/// by itself.
fn check_share<A: App>(shown: &Shown<'_>) -> Result<(), Violation> {
    if shown.x != NULL || shown.w != NULL {
        return Err(Violation::ShareInput);
    }
    check_history(shown, shown.app)?;
    let came = sum(shown.app, shown.ins.iter().map(|input| &input.charms))?;
    let went = sum(shown.app, shown.outs.iter())?;
    if came == went {
        return Ok(());
    }
    let main = Key::new(shown.judged()?.with_tag(A::TAGS.main));
    let came = shown.ins.first().map(|input| &input.charms);
    let is_there = |charms: Option<&Vec<(&[u8], &[u8])>>| {
        charms.is_some_and(|charms| find(charms, &main.raw).is_some())
    };
    if is_there(came) && is_there(shown.outs.first()) {
        Ok(())
    } else {
        Err(Violation::ShareBalance)
    }
}

fn sum<'s, 'a: 's>(
    app: &[u8],
    mut charms: impl Iterator<Item = &'s Vec<(&'a [u8], &'a [u8])>>,
) -> Result<u64, Violation> {
    charms.try_fold(0_u64, |sum, charms| {
        let Some(data) = find(charms, app) else {
            return Ok(sum);
        };
        let amount = amount_of(data).ok_or(Violation::ShareAmount)?;
        sum.checked_add(amount).ok_or(Violation::ShareOverflow)
    })
}

/// An amount as CBOR data.
pub fn amount_data(amount: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.uint(amount);
    writer.finish()
}
