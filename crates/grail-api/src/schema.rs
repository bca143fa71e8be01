//! Schemas of domain types, for the `OpenAPI` document only. Never constructed; a test holds them
//! against the JSON of the types that they describe.

use utoipa::ToSchema;

/// Protocol parameters.
#[derive(ToSchema)]
#[schema(as = Params)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct ParamsSchema {
    /// Shortest reclaim delay served, blocks.
    reclaim_delay_min: u16,
    /// Longest reclaim delay served, blocks.
    reclaim_delay_max: u16,
    /// A deposit this close to its reclaim, in blocks, is no longer swept.
    sweep_margin: u16,
    /// Confirmations before a deposit is settled.
    deposit_confirmations: u32,
    /// Confirmations after which a settlement counts as final.
    settlement_confirmations: u32,
    /// Smallest deposit, satoshis.
    deposit_min: u64,
    /// Largest deposit, satoshis.
    deposit_max: u64,
    /// Coin that every zkBTC output of a settlement carries, satoshis.
    carrier: u64,
    /// Coin that the roster NFT's output carries, satoshis.
    nft_carrier: u64,
    /// Lowest fee rate of a settlement, satoshis per 1,000 weight units.
    fee_rate_min: u64,
    /// Highest fee rate of a settlement, satoshis per 1,000 weight units.
    fee_rate_max: u64,
    /// Most roster inputs in one settlement.
    roster_inputs_max: u16,
    /// Most weight of a signed settlement.
    settlement_weight_max: u64,
    /// Most settlements that may be unconfirmed in a row.
    settlements_unconfirmed_max: u16,
    /// Most that a settlement's output to its prover may hold, satoshis. Zero: there may be none.
    prover_fee_max: u64,
    /// Hash of the document of enclave images, hex.
    images: String,
    /// Most zkBTC that may leave at once, on balance, satoshis.
    outflow_cap: u64,
    /// What may leave besides with every block, satoshis.
    outflow_rate: u64,
    /// Most zkBTC that may exist, satoshis.
    supply_max: u64,
    /// Fewest blocks between the announcement of a rotation and its execution.
    notice: u16,
}

/// A Bitcoin network.
#[derive(ToSchema)]
#[schema(as = Network, rename_all = "lowercase")]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) enum NetworkSchema {
    Regtest,
    Signet,
    Testnet4,
    Mainnet,
}

/// One bridge on one network.
#[derive(ToSchema)]
#[schema(as = Bridge)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct BridgeSchema {
    network: NetworkSchema,
    app: BridgeAppSchema,
}

/// The bridge app.
#[derive(ToSchema)]
#[schema(as = BridgeApp)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct BridgeAppSchema {
    /// 32 bytes, hex.
    identity: String,
    /// 32 bytes, hex.
    vk: String,
}

/// The enclave images that may hold a signer's key.
#[derive(ToSchema)]
#[schema(as = Images)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct ImagesSchema {
    /// Number of the document.
    counter: u64,
    /// Strictly ascending.
    images: Vec<ImageSchema>,
}

/// The operators' administrators.
#[derive(ToSchema)]
#[schema(as = Governance)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct GovernanceSchema {
    /// X-only public keys, hex, strictly ascending.
    administrators: Vec<String>,
    /// How many must agree.
    threshold: u16,
}

/// An enclave image.
#[derive(ToSchema)]
#[schema(as = Image)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct ImageSchema {
    tee: TeeKindSchema,
    class: ImageClassSchema,
    measurement: MeasurementSchema,
}

/// A kind of trusted execution environment.
#[derive(ToSchema)]
#[schema(as = TeeKind, rename_all = "kebab-case")]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) enum TeeKindSchema {
    Development,
    Nitro,
    SevSnp,
    Tdx,
}

/// Whether the platform can snapshot or move a running enclave's memory.
#[derive(ToSchema)]
#[schema(as = ImageClass, rename_all = "kebab-case")]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) enum ImageClassSchema {
    Resident,
    Migratable,
}

/// What an image measures to: PCR0 to PCR2, 48 bytes each, hex.
#[derive(ToSchema)]
#[schema(as = Measurement)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct MeasurementSchema {
    pcr0: String,
    pcr1: String,
    pcr2: String,
}

/// A request's terms: what its deposit address commits to.
#[derive(ToSchema)]
#[schema(as = Terms)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct TermsSchema {
    kind: crate::Kind,
    network: NetworkSchema,
    bridge: BridgeAppSchema,
    /// Output script that is paid, hex.
    destination: String,
    /// Most that the request may contribute to a settlement's fee, satoshis.
    fee_cap: u64,
    /// Roster that holds the deposit.
    epoch: u64,
    /// X-only public key of the way out, hex.
    reclaim_key: String,
    /// Blocks after which the user may take the deposit back.
    reclaim_delay: u16,
    /// 16 bytes, hex.
    nonce: String,
}

/// Signers in order, and how many must agree.
#[derive(ToSchema)]
#[schema(as = Roster)]
#[expect(dead_code, reason = "a description, never a value")]
pub(crate) struct RosterSchema {
    epoch: u64,
    /// X-only public keys, hex, strictly ascending.
    signers: Vec<String>,
    threshold: u16,
}
