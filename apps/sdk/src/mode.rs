//! What kind of clearing it is: by facts and payloads alone.

use grail_app_facts::Facts;

use crate::{
    app::{App, Exit},
    violation::Violation,
};

/// Payload of an order that gives shares back without the app, where the app offers that.
pub const EXIT_PAYLOAD: &[u8] = b"exit";
/// Payload of an order that pays for moving cells to another home.
pub const MIGRATE_PAYLOAD: &[u8] = b"migrate";

/// What a clearing does. No app's own words can be one of the payloads: those are CBOR that is no
/// text.
pub enum Mode {
    /// The app settles.
    Settle,
    /// Shares are given back for their part of what the main cell holds.
    Exit {
        /// Shares that nobody has.
        locked: u64,
    },
    /// Cells move to this home, and nothing else changes.
    Migrate([u8; 34]),
}

impl Mode {
    /// S10: exits stand alone, and so does a move.
    pub fn of<A: App>(facts: &Facts) -> Result<Self, Violation> {
        let position = |payload: &[u8]| {
            let mut orders = facts.orders.iter();
            orders.position(|order| order.payload == payload)
        };
        if let Some(home) = facts.home {
            let mut orders = facts.orders.iter();
            if let Some(other) = orders.position(|order| order.payload != MIGRATE_PAYLOAD) {
                return Err(Violation::MigrateOrder(other));
            }
            return Ok(Self::Migrate(home));
        }
        if let Some(order) = position(MIGRATE_PAYLOAD) {
            return Err(Violation::OrderPayload(order));
        }
        match (A::EXIT, position(EXIT_PAYLOAD)) {
            (_, None) => Ok(Self::Settle),
            (Exit::None, Some(order)) => Err(Violation::OrderPayload(order)),
            (Exit::ProRata { locked }, Some(_)) => {
                let is_exit = |order: &grail_app_facts::Order| order.payload == EXIT_PAYLOAD;
                if facts.cells_in != 1 || !facts.orders.iter().all(is_exit) {
                    return Err(Violation::ExitMixed);
                }
                Ok(Self::Exit { locked })
            }
        }
    }
}
