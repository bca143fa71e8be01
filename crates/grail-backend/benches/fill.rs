//! Fills a database with what years leave behind.

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use bitcoin::{OutPoint, Transaction, Txid, Witness, consensus::encode::serialize, hashes::Hash};
use grail_backend::{clock, roles::scan::Scanner};
use grail_chain::BlockSource as _;
use grail_flow::SettlementState;
use grail_types::Kind;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::{
    BLOCKS, backend, bridge,
    chain::PaperChain,
    operators::heard_of,
    paper_chain,
    past::{Asked, DEPOSIT_SAT, Fate, GROUP, ITEMS, Past, SHARE_SAT, number, payment, spell},
    rows::{Rows, row},
    url,
};

/// Requests; a settlement for each hundred of them.
const REQUESTS: u64 = 1_000_000;
/// The time that they took, seconds.
const YEAR: u64 = 365 * 24 * 3_600;
/// Requests between two commits.
const COMMIT: u64 = 20_000;
/// Signers that answered each settlement, with the bytes of twelve between them.
const ANSWERS: u32 = 4;
/// Bytes of a proposal beside the transactions that it holds.
const PROPOSAL_BYTES: usize = 4_000;

/// Fills a new database.
pub async fn fill(file: &Path, part: u64) -> Result<()> {
    ensure!(!file.exists(), "{} is there already", file.display());
    let began = Instant::now();
    let chain = paper_chain();
    let backend_before = backend(file, &chain).await;
    heard_of(&backend_before, 1..=super::operators::SIGNER_COUNT).await;
    let mut scanner = Scanner::new(&backend_before);
    while scanner.take_block().await? {}
    backend_before.store.close().await;

    let requests = REQUESTS / part / GROUP * GROUP;
    let mut filler = Filler::new(file, &chain, requests).await?;
    for index in 0..requests {
        filler.request(index).await;
        if index % GROUP == ITEMS - 1 {
            filler.settlement(index / GROUP).await;
        }
        if index % COMMIT == COMMIT - 1 {
            filler.commit().await;
            eprintln!("{} requests", index + 1);
        }
    }
    filler.finish().await?;
    // What a start fills in is not a start's cost.
    backend(file, &chain).await.store.close().await;
    let bytes = std::fs::metadata(file)?.len();
    println!(
        "filled: {requests} requests, {} settlements, {} MB, in {} s",
        requests / GROUP,
        bytes / 1_000_000,
        began.elapsed().as_secs()
    );
    Ok(())
}

/// Domain values as rows keep them.
fn form<T: Serialize>(value: &T) -> String {
    serde_json::json!({ "v": 2, "is": value }).to_string()
}

/// A deposit of the settlement to come.
struct Item {
    id: String,
    outpoint: OutPoint,
    transaction: Transaction,
}

struct Filler<'a> {
    to: SqliteConnection,
    chain: &'a PaperChain,
    past: Past,
    roster: String,
    requests: u64,
    began_at: u64,
    spell: bitcoin::ScriptBuf,
    items: Vec<Item>,
    newest: Txid,
    tables: Tables,
}

struct Tables {
    requests: Rows,
    deposits: Rows,
    transactions: Rows,
    settlements: Rows,
    bodies: Rows,
    items: Rows,
    answers: Rows,
    jobs: Rows,
    proofs: Rows,
    events: Rows,
    outputs: Rows,
}

impl Tables {
    fn new() -> Self {
        Self {
            requests: Rows::new(
                "requests",
                "id, number, kind, terms, roster, deposit_script, state_name, state, deadline_height, \
                 idempotency_key, body_hash, created_at, updated_at, epoch",
            ),
            deposits: Rows::new(
                "deposits",
                "outpoint, request, amount_sat, charms, token_sat, height, hash, state_name, code, \
                 reclaim_txid, reclaim_height, reclaim_hash, created_at, updated_at",
            ),
            transactions: Rows::new("transactions", "txid, raw"),
            settlements: Rows::new(
                "settlements",
                "id, state_name, state, epoch, nft_input, nft_output, txid, fee_sat, weight, vsize, height, \
                 hash, proposal_id, stage_since, created_at, updated_at",
            ),
            bodies: Rows::new("settlement_bodies", "settlement, kind, body"),
            items: Rows::new(
                "settlement_items",
                "settlement, position, request, deposit, request_row, deposit_row, amount_out_sat, \
                 fee_share_sat, active",
            ),
            answers: Rows::new(
                "answers",
                "settlement, signer_index, attempt, epoch, verdict, signatures, late, received_at",
            ),
            jobs: Rows::new(
                "jobs",
                "id, kind, idempotency_key, payload, state, attempts, due_at, token, created_at, updated_at",
            ),
            proofs: Rows::new(
                "proofs",
                "settlement, job, state, attempts, worker, prover, request_hash, queued_at, started_at, \
                 finished_at, duration_ms, fuel, reused, op_return",
            ),
            events: Rows::new("events", "id, at, subject_kind, subject, kind, body"),
            outputs: Rows::new(
                "vault_outputs",
                "outpoint, kind, amount_sat, supply_sat, height, hash, spent_txid, spent_height, spent_hash, epoch",
            ),
        }
    }

    fn all(&mut self) -> [&mut Rows; 11] {
        [
            &mut self.requests,
            &mut self.deposits,
            &mut self.transactions,
            &mut self.settlements,
            &mut self.bodies,
            &mut self.items,
            &mut self.answers,
            &mut self.jobs,
            &mut self.proofs,
            &mut self.events,
            &mut self.outputs,
        ]
    }
}

impl<'a> Filler<'a> {
    async fn new(file: &Path, chain: &'a PaperChain, requests: u64) -> Result<Self> {
        let mut to = SqliteConnection::connect(&url(file)).await?;
        for statement in [
            "PRAGMA synchronous = OFF",
            "PRAGMA foreign_keys = OFF",
            "PRAGMA cache_size = -1000000",
            "BEGIN",
        ] {
            sqlx::query(statement).execute(&mut to).await?;
        }
        let deployment = bridge::deployment();
        let house = bridge::first_house();
        Ok(Self {
            to,
            chain,
            roster: form(&house.roster),
            past: Past {
                secp: bitcoin::secp256k1::Secp256k1::new(),
                bridge: *deployment.protocol.bridge(),
                roster: house.roster,
                vault: house.vault.script_pubkey,
            },
            requests,
            began_at: clock::now() - YEAR,
            spell: spell(),
            items: Vec::new(),
            newest: Txid::from_byte_array(number("first", 0)),
            tables: Tables::new(),
        })
    }

    /// When the request at `index` was made.
    fn at(&self, index: u64) -> u64 {
        self.began_at + index * YEAR / self.requests
    }

    fn hash(&self, height: u32) -> String {
        self.chain.block_hash(height).unwrap().unwrap().to_string()
    }

    /// Of the settlement at `index`: most are long ago, the last hundredth is not.
    fn height(&self, index: u64) -> u32 {
        let all = self.requests / GROUP;
        let old = all * 99 / 100;
        let height = if index < old {
            3 + index * 590 / old
        } else {
            700 + (index - old) * 290 / (all - old)
        };
        u32::try_from(height).unwrap()
    }

    async fn request(&mut self, index: u64) {
        let asked = self.past.asked(index);
        let (at, group) = (self.at(index), index / GROUP);
        let payment = payment(index, 1, std::slice::from_ref(&asked.script), DEPOSIT_SAT);
        let outpoint = OutPoint::new(payment.compute_txid(), 0);
        let state = asked.fate.state(outpoint, group + 1);
        let made_at = if asked.fate == Fate::Awaiting {
            BLOCKS
        } else {
            self.height(group)
        };
        let row = row![
            asked.id.to_string(),
            index + 1,
            kind_name(asked.kind),
            form(&asked.terms),
            self.roster.clone(),
            asked.script.to_hex_string(),
            state.name(),
            form(&state),
            made_at + 100,
            hex::encode(&number("key", index)[..16]),
            hex::encode(number("body", index)),
            at,
            at + 7_200,
            0_u64,
        ];
        self.tables.requests.add(&mut self.to, row).await;
        self.event(
            "request",
            asked.id.to_string(),
            "created",
            "awaiting-deposit",
            at,
        )
        .await;
        if asked.fate != Fate::Awaiting {
            self.event("request", asked.id.to_string(), "told", state.name(), at)
                .await;
        }
        if asked.fate.has_deposit() {
            self.deposit(index, &asked, payment, outpoint).await;
        }
    }

    async fn deposit(&mut self, index: u64, asked: &Asked, paid: Transaction, outpoint: OutPoint) {
        let at = self.at(index);
        let height = if asked.fate == Fate::Ready {
            // Its reclaim is far off.
            BLOCKS - u32::try_from(index % 50).unwrap()
        } else {
            self.height(index / GROUP) - 1
        };
        let (charms, token) = match asked.kind {
            Kind::PegOut => ("zkbtc", Some(DEPOSIT_SAT)),
            _ => ("none", None),
        };
        let (state, code) = match asked.fate {
            Fate::Paid => ("settled", None),
            Fate::Ready => ("ready", None),
            Fate::Reclaimable => ("reclaimable", Some("late")),
            Fate::Reclaimed => ("reclaimed", Some("late")),
            Fate::Awaiting | Fate::Expired => unreachable!("they have none"),
        };
        let reclaim =
            (asked.fate == Fate::Reclaimed).then(|| hex::encode(number("reclaim", index)));
        let row = row![
            outpoint.to_string(),
            asked.id.to_string(),
            DEPOSIT_SAT,
            charms,
            token,
            height,
            self.hash(height),
            state,
            code,
            reclaim.clone(),
            reclaim.as_ref().map(|_| height + 1),
            reclaim.as_ref().map(|_| self.hash(height + 1)),
            at,
            at + 7_200,
        ];
        self.tables.deposits.add(&mut self.to, row).await;
        let row = row![outpoint.txid.to_string(), serialize(&paid)];
        self.tables.transactions.add(&mut self.to, row).await;
        if asked.fate == Fate::Paid {
            self.items.push(Item {
                id: asked.id.to_string(),
                outpoint,
                transaction: paid,
            });
        }
    }

    async fn settlement(&mut self, index: u64) {
        let (id, height) = (index + 1, self.height(index));
        let (hash, at) = (self.hash(height), self.at(index * GROUP));
        let items = std::mem::take(&mut self.items);
        let deposits: Vec<OutPoint> = items.iter().map(|item| item.outpoint).collect();
        let signed = self.past.settlement(self.newest, &deposits, &self.spell);
        let txid = signed.compute_txid();
        let mut unsigned = signed.clone();
        for input in &mut unsigned.input {
            input.witness = Witness::new();
        }
        let state = SettlementState::Final {
            height,
            hash: hash.parse().unwrap(),
        };
        let mut proposal = vec![2];
        for item in &items {
            proposal.extend(serialize(&item.transaction));
        }
        proposal.extend(serialize(&unsigned));
        proposal.resize(proposal.len() + PROPOSAL_BYTES, 0x33);
        let weight = signed.weight();
        let row = row![
            id,
            state.name(),
            form(&state),
            0_u64,
            OutPoint::new(self.newest, 0).to_string(),
            OutPoint::new(txid, 0).to_string(),
            txid.to_string(),
            ITEMS * SHARE_SAT,
            weight.to_wu(),
            weight.to_vbytes_ceil(),
            height,
            hash.clone(),
            hex::encode(number("proposal", id)),
            at,
            at,
            at,
        ];
        self.tables.settlements.add(&mut self.to, row).await;
        for (kind, body) in [
            ("proposal", proposal),
            ("unsigned", serialize(&unsigned)),
            ("signed", serialize(&signed)),
        ] {
            self.tables
                .bodies
                .add(&mut self.to, row![id, kind, body])
                .await;
        }
        let row = row![txid.to_string(), serialize(&signed)];
        self.tables.transactions.add(&mut self.to, row).await;
        for (position, item) in (0_u64..).zip(&items) {
            let (request, deposit) = (item.id.clone(), item.outpoint.to_string());
            let row = row![
                id,
                position,
                request.clone(),
                deposit.clone(),
                request,
                deposit,
                DEPOSIT_SAT - SHARE_SAT,
                SHARE_SAT,
                1_u64,
            ];
            self.tables.items.add(&mut self.to, row).await;
        }
        self.work(id, at).await;
        for (vout, kind) in [(0, "nft"), (1, "vault")] {
            let row = row![
                OutPoint::new(txid, vout).to_string(),
                kind,
                1_000_000_u64,
                (vout == 0).then_some(1_000_000_u64),
                height,
                hash.clone(),
                hex::encode(number("spender", id)),
                height + 1,
                self.hash(height + 1),
                0_u64,
            ];
            self.tables.outputs.add(&mut self.to, row).await;
        }
        for to in [
            "draft",
            "proven",
            "asked",
            "signed",
            "broadcast",
            "confirmed",
            "final",
        ] {
            self.event("settlement", id.to_string(), "told", to, at)
                .await;
        }
        self.newest = txid;
    }

    /// Jobs, proof and answers of a settlement.
    async fn work(&mut self, id: u64, at: u64) {
        let first = self.tables.jobs.count + 1;
        for (kind, turn) in [
            ("prove", 0),
            ("dry-run", 0),
            ("ask", 1),
            ("ask-timeout", 1),
            ("publish", at),
        ] {
            let row = row![
                self.tables.jobs.count + 1,
                kind,
                format!("{kind}:{id}:{turn}"),
                format!(r#"{{"kind":"{kind}","settlement":{id}}}"#),
                "done",
                1_u64,
                at,
                first,
                at,
                at,
            ];
            self.tables.jobs.add(&mut self.to, row).await;
        }
        let row = row![
            id,
            first,
            "proven",
            1_u64,
            "0011223344556677",
            "mock",
            hex::encode(number("proof", id)),
            at,
            at,
            at + 60,
            60_000_u64,
            15_000_000_u64,
            0_u64,
            self.spell.to_bytes(),
        ];
        self.tables.proofs.add(&mut self.to, row).await;
        let signatures = usize::try_from(ITEMS + 2).unwrap() * 64 * 12;
        for signer in 0..ANSWERS {
            let part = vec![0x44; signatures / usize::try_from(ANSWERS).unwrap()];
            let row = row![id, signer, 0_u64, 0_u64, "signed", part, 0_u64, at];
            self.tables.answers.add(&mut self.to, row).await;
        }
    }

    async fn event(&mut self, kind: &str, subject: String, name: &str, to: &str, at: u64) {
        let id = self.tables.events.count + 1;
        let row = row![id, at, kind, subject, name, format!(r#"{{"to":"{to}"}}"#)];
        self.tables.events.add(&mut self.to, row).await;
    }

    async fn commit(&mut self) {
        for rows in self.tables.all() {
            rows.write(&mut self.to).await;
        }
        for statement in ["COMMIT", "BEGIN"] {
            sqlx::query(statement).execute(&mut self.to).await.unwrap();
        }
    }

    async fn finish(mut self) -> Result<()> {
        self.commit().await;
        let counters = [
            ("request", self.tables.requests.count),
            ("settlement", self.tables.settlements.count),
            ("job", self.tables.jobs.count),
            ("lease", self.tables.jobs.count),
            ("event", self.tables.events.count),
        ];
        for (name, value) in counters {
            let statement = format!("UPDATE counters SET value = {value} WHERE name = '{name}'");
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut self.to)
                .await?;
        }
        for statement in ["COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(statement).execute(&mut self.to).await?;
        }
        Ok(self.to.close().await?)
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::PegIn => "peg-in",
        Kind::PegOut => "peg-out",
        _ => panic!("no bench has others"),
    }
}
