//! A store on a file of its own, and rows to put in.

use bitcoin::{
    Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash,
    Witness, XOnlyPublicKey,
    absolute::LockTime,
    hashes::Hash,
    secp256k1::{Keypair, Secp256k1},
    transaction::Version,
};
use grail_flow::{Alarm, Deposit, DepositCharms, DepositOrigin, SettlementId, SettlementState};
use grail_postgres_dev::Database;
use grail_store::{
    BlockRef, Conflict, Engine, NewRequest, NewSettlement, OpenAlarms, Recorded, Request,
    SettlementItem, Store, StoreError, StoreTx,
};
use grail_types::{BridgeApp, Epoch, Kind, Network, RequestId, Roster, Terms, Threshold};
use sqlx::{AnyConnection, Connection as _};

use crate::ENGINE;

/// A time.
pub const NOW: u64 = 1_800_000_000;

/// No alarm at all.
pub const NONE_OPEN: OpenAlarms = OpenAlarms { stop: 0, look: 0 };

/// An alarm about a job, which stops nothing.
pub fn dead_job(key: &str) -> Alarm {
    Alarm::DeadJob {
        job: key.to_owned(),
        error: "a test".to_owned(),
    }
}

/// Runs a statement behind the store's back. Bytes are spelled as SQLite does.
pub async fn run(store: &TestStore, sql: &str) -> Result<u64, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&store.url).await.unwrap();
    let sql = sqlx::AssertSqlSafe(match ENGINE {
        Engine::Sqlite => sql.to_owned(),
        Engine::Postgres => with_bytes(sql),
    });
    let done = sqlx::query(sql).execute(&mut connection).await?;
    Ok(done.rows_affected())
}

/// `x'00'` as PostgreSQL spells it.
fn with_bytes(sql: &str) -> String {
    let mut parts = sql.split(" x'");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (bytes, rest) = part.split_once('\'').unwrap();
        text.extend([" '\\x", bytes, "'::bytea", rest]);
    }
    text
}

/// A store and what holds its rows.
pub struct TestStore {
    pub store: Store,
    pub url: String,
    _place: Place,
}

impl std::ops::Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Where a database is; dropped, it is gone.
pub enum Place {
    File(tempfile::TempDir),
    Server(Database),
}

impl Place {
    /// A new one, in which nobody has written.
    pub fn new() -> Self {
        match ENGINE {
            Engine::Sqlite => Self::File(tempfile::tempdir().unwrap()),
            Engine::Postgres => Self::Server(Database::new().unwrap()),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite:{}", folder.path().join("grail.db").display()),
            Self::Server(database) => database.url(),
        }
    }
}

/// A new, empty store.
pub async fn new_store() -> TestStore {
    let place = Place::new();
    let url = place.url();
    TestStore {
        store: Store::open(&url).await.unwrap(),
        url,
        _place: place,
    }
}

fn key(seed: u8) -> XOnlyPublicKey {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[seed; 32])
        .unwrap()
        .x_only_public_key()
        .0
}

pub fn roster() -> Roster {
    let mut keys: Vec<_> = (1..=4).map(key).collect();
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(0), keys, Threshold(3)).unwrap()
}

pub fn terms(nonce: u8) -> Terms {
    Terms {
        kind: Kind::PegIn,
        network: Network::Regtest,
        bridge: BridgeApp {
            identity: [1; 32],
            vk: [2; 32],
        },
        destination: ScriptBuf::new_p2wpkh(&WPubkeyHash::all_zeros())
            .try_into()
            .unwrap(),
        fee_cap: Amount::from_sat(5_000),
        epoch: Epoch(0),
        reclaim_key: key(7),
        reclaim_delay: 24,
        nonce: [nonce; 16],
    }
}

/// A deposit script; the store takes any.
pub fn script(seed: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([seed; 20]))
}

pub fn txid(seed: u8) -> Txid {
    Txid::from_byte_array([seed; 32])
}

pub fn outpoint(seed: u8) -> OutPoint {
    OutPoint::new(txid(seed), u32::from(seed))
}

/// A block; blocks of one height on two branches differ by `branch`.
pub fn block(height: u32, branch: u8) -> BlockRef {
    let mut bytes = [branch; 32];
    bytes[..4].copy_from_slice(&height.to_le_bytes());
    BlockRef {
        height,
        hash: BlockHash::from_byte_array(bytes),
    }
}

pub fn deposit(seed: u8) -> Deposit {
    Deposit {
        outpoint: outpoint(seed),
        value: Amount::from_sat(50_000),
        charms: DepositCharms::None,
        origin: DepositOrigin::Payment,
    }
}

/// Adds request number `seed`.
pub async fn add_request(tx: &mut StoreTx, seed: u8) -> Request {
    let new = NewRequest {
        terms: &terms(seed),
        roster: &roster(),
        deposit_script: &script(seed),
        deadline_height: 100 + u32::from(seed),
        idempotency: None,
        now: NOW,
    };
    tx.create_request(&new).await.unwrap().into_request()
}

/// Adds request number `seed` and its deposit.
pub async fn add_deposit(tx: &mut StoreTx, seed: u8) -> RequestId {
    let request = add_request(tx, seed).await.id;
    let recorded = tx
        .record_deposit(&request, &deposit(seed), NOW)
        .await
        .unwrap();
    assert_eq!(recorded, Recorded::New);
    request
}

/// The item that serves request `seed` as [`add_deposit`] made it.
pub fn item(seed: u8) -> SettlementItem {
    SettlementItem {
        request: terms(seed).id(),
        deposit: outpoint(seed),
        amount_out: Amount::from_sat(49_000),
        fee_share: Amount::from_sat(670),
    }
}

pub async fn create_settlement(
    tx: &mut StoreTx,
    nft_input: OutPoint,
    items: &[SettlementItem],
) -> Result<SettlementId, StoreError> {
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input,
        draft: b"draft",
        items,
        now: NOW,
    };
    tx.create_settlement(&new).await
}

/// A transaction that spends `input` and pays one output.
pub fn transaction(input: OutPoint) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: input,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: script(1),
        }],
    }
}

/// Moves a settlement from whatever state it is in.
pub async fn move_settlement(
    tx: &mut StoreTx,
    id: SettlementId,
    to: SettlementState,
) -> Result<(), StoreError> {
    let from = tx.settlement(id).await?.unwrap().state;
    tx.set_settlement_state(id, &from, &to, NOW + 1).await
}

/// The rule that a call would have broken.
#[track_caller]
pub fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// The stable name of the error.
#[track_caller]
pub fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> &'static str {
    result.expect_err("expected an error").code()
}
