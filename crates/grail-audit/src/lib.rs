//! The bridge's books, made from blocks alone.
//!
//! Owns an auditor's judgement: a pure state machine that is fed with blocks in order, follows the
//! roster NFT from its deployment, the coins at its vault and every zkBTC output, and says of each
//! transaction that touches them what it did and which rule it broke. It repeats the contract's and
//! the operators' rules from the outside, with code of its own where that is short, so that a fault
//! in either shows.
//!
//! Trusts whoever feeds it for the blocks being the chain (a full node checks scripts and work),
//! and nothing else: no backend, no operator, no API. Never does I/O, never keeps a transaction:
//! memory grows with the outputs of interest (vault coins, donations, zkBTC) alone.

mod auditor;
mod books;
mod checks;
mod finding;
mod limits;
mod reading;
mod step;
mod vaults;
mod witness;

pub use auditor::{Anchor, Auditor, NotNext, Verdict, Watch};
pub use books::Books;
pub use finding::{Finding, Severity};
pub use grail_bridge_contract::Next;
pub use step::{PegTotal, RosterChange, Settlement, Step, StepKind};
pub use witness::{Role, SignedInput};
