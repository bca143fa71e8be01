//! Who answers about a settlement: the signers of the roster that holds the NFT, and where its
//! deposits are of a former roster, that one's too.
//!
//! A signer has one position, by which rows keep its answers: that in the roster of now, or behind
//! all of those, for who is in the former one alone. Both rosters are of the verified history.

use bitcoin::XOnlyPublicKey;
use grail_store::{Reader, Settlement};
use grail_types::{Epoch, Roster, SignerIndex};

use crate::backend::Backend;

/// The signers of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    roster: Roster,
    former: Option<Roster>,
}

impl Signers {
    /// Of this roster, and of a former one.
    pub const fn new(roster: Roster, former: Option<Roster>) -> Self {
        Self { roster, former }
    }

    /// The roster that holds NFT and vault.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The roster that holds the deposits, where that is another one.
    pub const fn former(&self) -> Option<&Roster> {
        self.former.as_ref()
    }

    /// All of them, each once, by position.
    pub fn all(&self) -> impl Iterator<Item = &XOnlyPublicKey> {
        let former = self.former.iter().flat_map(Roster::signers);
        let gone = former.filter(|signer| self.roster.position(signer).is_none());
        self.roster.signers().iter().chain(gone)
    }

    /// Where `key` stands, if it is a signer.
    pub fn position(&self, key: &XOnlyPublicKey) -> Option<SignerIndex> {
        let index = self.all().position(|signer| signer == key)?;
        u16::try_from(index).ok().map(SignerIndex)
    }

    /// The signer at `index`.
    pub fn signer(&self, index: SignerIndex) -> Option<&XOnlyPublicKey> {
        self.all().nth(usize::from(index.0))
    }

    /// The epoch of the roster by which the signer at `index` is one.
    pub fn epoch_of(&self, index: SignerIndex) -> Epoch {
        let is_of_now = self.roster.signer(index).is_some();
        let former = self.former.as_ref().filter(|_| !is_of_now);
        former.unwrap_or(&self.roster).epoch()
    }
}

impl Backend {
    /// The signers of a settlement according to rows.
    pub async fn signers_of(
        &self,
        reader: &mut Reader,
        settlement: &Settlement,
    ) -> anyhow::Result<Signers> {
        let roster = self.roster_of(reader, settlement.epoch).await?;
        let former = match reader.former_epoch(settlement.id).await? {
            Some(epoch) => Some(self.roster_of(reader, epoch).await?),
            None => None,
        };
        Ok(Signers::new(roster, former))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_fixtures::world::{FORMER, LATER, keypair, later_world, public};

    use super::*;

    #[test]
    fn each_signer_of_two_rosters_has_one_position() {
        let world = later_world();
        let former = world.former.as_ref().unwrap();
        let alone = Signers::new(world.roster.clone(), None);
        let both = Signers::new(world.roster.clone(), Some(former.roster.clone()));
        assert_eq!((alone.all().count(), both.all().count()), (16, 16 + 4));
        for (index, key) in (0..).map(SignerIndex).zip(both.all()) {
            assert_eq!(both.position(key), Some(index));
            assert_eq!(both.signer(index), Some(key));
            let is_of_now = world.roster.position(key).is_some();
            let epoch = if is_of_now { LATER } else { FORMER };
            assert_eq!(both.epoch_of(index), Epoch(epoch));
            // Who is in both stands where he stands in today's.
            assert_eq!(alone.position(key), is_of_now.then_some(index));
        }
        assert_eq!(both.position(&public(&keypair(99))), None);
        assert_eq!(both.signer(SignerIndex(20)), None);
    }
}
