//! What commands answer: JSON by field, or lines for people.

mod audit;
mod bridge;
mod diagnostic;
mod evidence;
mod explain;
mod operator;
mod receipts;
mod recover;
mod spell;
mod status;
mod wallet;

use std::fmt::Display;

use bitcoin::{Amount, Denomination};
use serde::Serialize;

pub use audit::{AuditReport, BooksView, FindingView, StepView, Tally};
pub use bridge::{
    BridgeReport, Pegged, Reclaimed, ReservesReport, ReservesView, RosterEpochReport, RosterReport,
    RostersReport, SignerReport,
};
pub use diagnostic::diagnostic;
pub use evidence::{EvidenceReport, EvidenceView, PlatformView, RegisterView};
pub use explain::{Counted, Explanation, Reason, SpellSummary, StepExplanation};
pub use operator::{ChangedValue, OperatorKeyMade, RosterToCome, RotationReport};
pub use receipts::{HandedIn, HandedInReceipts, Outcome};
pub use recover::{Recovered, RecoveredDeposit};
pub use spell::{
    Charm, Claimed, FileVerdict, PlaceView, SpellApp, SpellOutput, SpellView, SpellsReport,
    StrictView, VerdictName, VersionedApp,
};
pub use status::StatusReport;
pub use wallet::{
    BalanceReport, BumpedPayment, Created, FreshAddress, ListedOutput, Listing, Protected,
    ReceiptLine, Receipts, Rescanned, Sent, WordsShown,
};

/// An answer that can be shown both ways.
pub trait Report: Display {
    /// As JSON.
    fn json(&self) -> serde_json::Value;
}

impl<T: Display + Serialize> Report for T {
    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }))
    }
}

fn btc(sat: u64) -> String {
    format!("{} BTC", decimal(sat))
}

fn zkbtc(sat: u64) -> String {
    format!("{} zkBTC", decimal(sat))
}

fn decimal(sat: u64) -> String {
    Amount::from_sat(sat).to_string_in(Denomination::Bitcoin)
}
