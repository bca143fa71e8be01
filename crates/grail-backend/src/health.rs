//! Which roles are well.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// A role's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleHealth {
    /// Whether it waits to be begun again after a failure.
    pub is_down: bool,
    /// How often it failed since the start.
    pub failure_count: u64,
}

/// The roles' records.
#[derive(Debug, Default)]
pub struct RolesHealth(Mutex<BTreeMap<&'static str, RoleHealth>>);

impl RolesHealth {
    /// A role failed and will be begun again.
    pub fn failed(&self, role: &'static str) {
        self.change(role, |health| {
            health.is_down = true;
            health.failure_count = health.failure_count.saturating_add(1);
        });
    }

    /// A role runs.
    pub fn running(&self, role: &'static str) {
        self.change(role, |health| health.is_down = false);
    }

    /// Every role that has run.
    pub fn roles(&self) -> BTreeMap<&'static str, RoleHealth> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, role: &'static str, change: impl FnOnce(&mut RoleHealth)) {
        // The map is valid after any change, so a panic elsewhere does not spoil it.
        change(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(role)
                .or_default(),
        );
    }
}
