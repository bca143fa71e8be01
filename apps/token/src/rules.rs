//! The verdict about one of the token's two apps in a spell.

use std::fmt;

use grail_app::{
    Charms, NULL, Shown, amount_of, check_history, create_input, identity_of, raw_app,
};

use crate::metadata::{Metadata, MetadataError};

/// Tag of the metadata.
pub const METADATA_TAG: char = 'm';
/// Tag of the token.
pub const TOKEN_TAG: char = 'f';

/// The rule that a spell breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// T1: the bytes are not as the Charms runner writes them.
    Unreadable,
    /// T2: neither metadata nor token.
    Tag(char),
    /// T3: a private input.
    PrivateInput,
    /// T4: a public input that is neither null nor `create`.
    PublicInput,
    /// T5: an output is referred to.
    References,
    /// T6: where charms come from; the code is the SDK's.
    History(grail_app::Violation),
    /// T7: metadata and token are not born together.
    BirthAlone,
    /// T8: the identity is not that of the first input.
    Identity,
    /// T9: metadata or token comes in at birth.
    BirthSpends,
    /// T10: not one metadata, alone on output 0.
    BirthPlace,
    /// T11: the metadata.
    Metadata(MetadataError),
    /// T12: an amount that is no positive integer of 64 bits, or sums beyond.
    Amount,
    /// T13: at birth the token is not the supply.
    Supply,
    /// T13: later it is not conserved.
    Balance,
    /// T14: metadata does not come in once and go out once, the same.
    MetadataMoved,
}

impl Violation {
    /// Stable word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Tag(_) => "app-tag",
            Self::PrivateInput => "private-input",
            Self::PublicInput => "public-input",
            Self::References => "references",
            Self::History(of) => match of {
                grail_app::Violation::PrevTxSet => "prev-tx-set",
                grail_app::Violation::PrevTxWitness => "prev-tx-witness",
                grail_app::Violation::PrevSpell => "prev-spell",
                grail_app::Violation::PrevSpellVersion(_) => "prev-spell-version",
                _ => "prev-tx-form",
            },
            Self::BirthAlone => "birth-alone",
            Self::Identity => "identity",
            Self::BirthSpends => "birth-spends",
            Self::BirthPlace => "birth-place",
            Self::Metadata(_) => "metadata",
            Self::Amount => "amount",
            Self::Supply => "supply",
            Self::Balance => "balance",
            Self::MetadataMoved => "metadata-moved",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Violation {}

/// Judges what the runner shows about one app of a spell. A spell obeys when this accepts each that
/// it lists.
pub fn judge(bytes: &[u8]) -> Result<(), Violation> {
    let shown = Shown::read(bytes).map_err(|_| Violation::Unreadable)?;
    if shown.tag != METADATA_TAG && shown.tag != TOKEN_TAG {
        return Err(Violation::Tag(shown.tag));
    }
    if shown.w != NULL {
        return Err(Violation::PrivateInput);
    }
    if shown.refs != 0 {
        return Err(Violation::References);
    }
    if shown.x == create_input() {
        return check_birth(&shown);
    }
    if shown.x != NULL {
        return Err(Violation::PublicInput);
    }
    check_history(&shown, shown.app).map_err(Violation::History)?;
    if shown.tag == TOKEN_TAG {
        check_balance(&shown)
    } else {
        check_metadata_moved(&shown)
    }
}

/// T7 to T13: the same for both apps, so that each answers for the whole birth.
fn check_birth(shown: &Shown<'_>) -> Result<(), Violation> {
    let app = shown.judged().map_err(|_| Violation::Unreadable)?;
    let metadata = raw_app(&app.with_tag(METADATA_TAG));
    let token = raw_app(&app.with_tag(TOKEN_TAG));
    let create = create_input();
    for own in [&metadata, &token] {
        if data_of(&shown.public_inputs, own) != Some(&create) {
            return Err(Violation::BirthAlone);
        }
    }
    let first = shown.ins.first().ok_or(Violation::Identity)?;
    if app.identity != identity_of(first.outpoint) {
        return Err(Violation::Identity);
    }
    let mut spent = shown.ins.iter().flat_map(|input| &input.charms);
    if spent.any(|(key, _)| *key == metadata || *key == token) {
        return Err(Violation::BirthSpends);
    }
    let (first, others) = shown.outs.split_first().ok_or(Violation::BirthPlace)?;
    let [(key, charm)] = first.as_slice() else {
        return Err(Violation::BirthPlace);
    };
    let is_twin = others.iter().any(|it| data_of(it, &metadata).is_some());
    if *key != metadata || is_twin {
        return Err(Violation::BirthPlace);
    }
    let metadata = Metadata::decode(charm).map_err(Violation::Metadata)?;
    if sum(&token, shown.outs.iter())? != metadata.supply {
        return Err(Violation::Supply);
    }
    Ok(())
}

/// T13 after birth.
fn check_balance(shown: &Shown<'_>) -> Result<(), Violation> {
    let came = sum(shown.app, shown.ins.iter().map(|input| &input.charms))?;
    let went = sum(shown.app, shown.outs.iter())?;
    if came == went {
        Ok(())
    } else {
        Err(Violation::Balance)
    }
}

/// T14.
fn check_metadata_moved(shown: &Shown<'_>) -> Result<(), Violation> {
    let ins = shown.ins.iter().map(|input| &input.charms);
    let came = ins.filter_map(|charms| data_of(charms, shown.app));
    let went = shown.outs.iter();
    let went = went.filter_map(|charms| data_of(charms, shown.app));
    let (came, went): (Vec<_>, Vec<_>) = (came.collect(), went.collect());
    if came.len() == 1 && came == went {
        Ok(())
    } else {
        Err(Violation::MetadataMoved)
    }
}

fn data_of<'a>(charms: &Charms<'a>, app: &[u8]) -> Option<&'a [u8]> {
    let found = charms.iter().find(|(key, _)| *key == app);
    found.map(|(_, data)| *data)
}

fn sum<'s, 'a: 's>(
    app: &[u8],
    charms: impl Iterator<Item = &'s Charms<'a>>,
) -> Result<u64, Violation> {
    charms
        .filter_map(|charms| data_of(charms, app))
        .try_fold(0_u64, |sum, data| {
            sum.checked_add(amount_of(data).ok_or(Violation::Amount)?)
                .ok_or(Violation::Amount)
        })
}
