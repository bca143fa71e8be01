//! The books of a settlement: what its items do to the vault's coin and to the zkBTC in existence.

use bitcoin::Amount;

use super::Strange;

/// Vault and supply before and after, and what items did in between, satoshis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Books {
    pub vault: [Amount; 2],
    pub supply: [u64; 2],
    pub done: Effect,
}

/// What items do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    pub minted: u64,
    pub burned: u64,
}

impl Books {
    /// With one item more.
    pub(super) fn add(&mut self, item: Effect) {
        // What overflows is no sum that anything could equal.
        let done = &mut self.done;
        done.minted = done.minted.saturating_add(item.minted);
        done.burned = done.burned.saturating_add(item.burned);
    }

    /// `vault' - vault == minted - burned == supply' - supply`, whoever the items are of: what a
    /// stranger's puts in comes out of nobody else's.
    pub(super) fn check(&self) -> Result<(), Strange> {
        let Effect { minted, burned } = self.done;
        let follows = |start: u64| start.checked_add(minted)?.checked_sub(burned);
        let [vault, got] = self.vault;
        let expected = follows(vault.to_sat());
        if expected != Some(got.to_sat()) {
            return Err(Strange::VaultMismatch { minted, burned });
        }
        let [supply, got] = self.supply;
        if follows(supply) != Some(got) {
            return Err(Strange::SupplyMismatch { minted, burned });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(vault: [u64; 2], supply: [u64; 2]) -> Books {
        Books {
            vault: vault.map(Amount::from_sat),
            supply,
            done: Effect::default(),
        }
    }

    fn check(mut books: Books, items: &[(u64, u64)]) -> Result<(), Strange> {
        for (minted, burned) in items.iter().copied() {
            books.add(Effect { minted, burned });
        }
        books.check()
    }

    #[test]
    fn vault_and_supply_follow_what_items_do_to_the_satoshi() {
        let items = [(30, 0), (0, 12), (5, 0)];
        assert_eq!(check(books([100, 123], [90, 113]), &items), Ok(()));
        assert_eq!(check(books([12, 0], [12, 0]), &[(0, 12)]), Ok(()));
        let (minted, burned) = (35, 12);
        for vault in [122, 124, 100, 0] {
            let got = check(books([100, vault], [90, 113]), &items);
            assert_eq!(got, Err(Strange::VaultMismatch { minted, burned }));
        }
        for supply in [112, 114, 90, 0] {
            let got = check(books([100, 123], [90, supply]), &items);
            assert_eq!(got, Err(Strange::SupplyMismatch { minted, burned }));
        }
    }

    #[test]
    fn sums_that_no_number_holds_equal_nothing() {
        let most = u64::MAX;
        assert!(check(books([1, most], [1, most]), &[(most, 0), (1, 0)]).is_err());
        assert!(check(books([1, 0], [1, 0]), &[(0, 2)]).is_err());
    }
}
