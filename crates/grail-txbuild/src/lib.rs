//! Builds Grail's transactions: the deployment of the roster NFT, settlements, and the steps of a
//! rotation.
//!
//! Pure: coins, rates and terms in, transactions and spells out. Trusted by nobody: what is built
//! here passes the operators' policy or is not signed. Never proves and never broadcasts.

mod complete;
mod deploy;
mod fees;
pub mod limits;
mod rotation;
mod settlement;

pub use complete::{CheckedSignatures, Collector, CompleteError, FaultyContributions, Standing};
pub use deploy::{DeployError, Deployment, DeploymentPlan, first_state};
pub use rotation::{RotationPlan, RotationPlanError, RotationRequest, RotationStep};
pub use settlement::{
    Coin, Deposit, LeftOut, LeftOutReason, PlanError, PlannedItem, SettlementPlan,
    SettlementRequest,
};
