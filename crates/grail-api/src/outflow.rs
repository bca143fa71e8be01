//! How much may leave: the limit on what nets out (ADR 24), as the API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::request::text_enum;

/// How much zkBTC may leave, on balance: what is burned less what is minted. As of the newest
/// settlement that is published; what is on its way there is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outflow {
    /// What may leave with a settlement made now.
    pub may_leave_sat: u64,
    /// Most that may leave at once.
    pub cap_sat: u64,
    /// What may leave besides with every block, up to the cap.
    pub rate_sat_per_block: u64,
    /// The level in the roster NFT's state: what has left, less what time has let go of so far.
    pub level_sat: u64,
    /// Confirmations of the NFT's coin: for each of them the rate comes off the level. 0 while the
    /// newest settlement is in no block.
    pub nft_confirmations: u32,
    /// Fewest blocks after which more may leave, if nothing leaves before; none where that is all
    /// that may leave at once.
    pub blocks_until_more: Option<u64>,
    /// Fewest blocks after which as much as the cap may leave, if nothing leaves before; 0 for now.
    pub blocks_until_empty: u64,
}

text_enum! {
    /// Which limit a request waits for.
    LimitCode {
        /// More would leave than may by now; it comes with time.
        OutflowLimit => "outflow-limit",
    }
}

/// A peg-out that waits until as much may leave. It is never turned away for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutflowWait {
    /// What it waits for.
    pub code: LimitCode,
    /// What may leave now; less than the request's zkBTC.
    pub may_leave_sat: u64,
    /// Fewest blocks after which as much as it may leave, if nothing leaves before; none where that
    /// is more than may leave at once, so that it goes only with others that come in.
    pub blocks: Option<u64>,
}
