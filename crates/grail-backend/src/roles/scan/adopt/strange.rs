//! Why a transaction that moves the NFT is no settlement.

use bitcoin::Amount;
use grail_types::RequestId;

/// Which rule of a settlement does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::roles::scan) enum Strange {
    #[error("it leaves no roster NFT that can be read")]
    NoNft,
    #[error("it does not spend the NFT first, or does not make it first")]
    NftElsewhere,
    #[error("the contract lets no charm of the bridge come from it")]
    Unspendable,
    #[error("expected serial {expected}, got {got}")]
    Serial { expected: u64, got: u64 },
    #[error("it changes more of the NFT's state than serial and supply")]
    State,
    #[error("it does not spend the vault's coin")]
    VaultNotSpent,
    #[error("the vault holds {vault}, and {supply} sat of zkBTC exist")]
    VaultShort { vault: Amount, supply: u64 },
    #[error(
        "the vault's coin does not follow from {minted} sat of zkBTC minted and {burned} burned"
    )]
    VaultMismatch { minted: u64, burned: u64 },
    #[error("the supply does not follow from {minted} sat of zkBTC minted and {burned} burned")]
    SupplyMismatch { minted: u64, burned: u64 },
    #[error("expected {expected} outputs under its spell, got {got}")]
    Outputs { expected: usize, got: usize },
    #[error("it spends {0} deposits, more than any settlement")]
    TooMany(usize),
    #[error("it is in no block, nor is every deposit that it spends")]
    Unconfirmed,
    #[error("input {0} is no deposit of the roster")]
    NoDeposit(usize),
    #[error("the deposit at input {input_index} is not at the address of request {request}")]
    OtherAddress {
        input_index: usize,
        request: RequestId,
    },
    #[error("it spends the deposit of request {request} at input {input_index} and serves nobody")]
    ServesNobody {
        input_index: usize,
        request: RequestId,
    },
    #[error(
        "input {input_index} spends the deposit of request {request} by its operators' leaf, and the NFT stays \
         where it is"
    )]
    WithoutNft {
        input_index: usize,
        request: RequestId,
    },
    #[error("output {output_index} does not pay request {request}")]
    NotPaid {
        output_index: usize,
        request: RequestId,
    },
}
