//! Rotations among pegs, reorgs and deaths of the process, as a seed draws them: at every step the
//! rows say what the chain says, nobody is paid twice, and in the end the roster hands over.

use std::collections::BTreeSet;

use bitcoin::{Address, Network, Transaction, Txid};
use grail_api::Request;
use grail_backend::{
    api::router, backend::Backend, clock, roles::build, roles::build::Built, rotations,
};
use grail_bridge_contract::RosterState;
use grail_store::JobKind;
use grail_types::Roster;
use serde_json::json;
use tower::ServiceExt as _;

use super::{
    operators::key,
    steps::{proposal_after, signed},
    users::{Asked, DEPOSIT_SAT, FEE_CAP_SAT},
    world::{QUORUM, World, settlement_id},
};

/// Turns of a walk. A world names no more than some 150 things.
const TURNS: usize = 30;
/// Two are some twenty seconds.
const SEEDS: [u64; 2] = [2, 3];
/// Requests of a walk, each of which takes two names.
const REQUESTS_MAX: usize = 60;
/// Turns of peace after which everything has its end.
const PEACE_MAX: usize = 40;
const REORG_DEPTH_MAX: u64 = 5;
/// More than a step that came to nothing waits.
const MUCH_LATER: u64 = 3_600;

/// Jobs of the lane.
const WORK: [JobKind; 4] = [
    JobKind::Prove,
    JobKind::DryRun,
    JobKind::Ask,
    JobKind::Publish,
];

struct Walk {
    w: World,
    seed: u64,
    /// Blocks that stay: up to the deployment's.
    floor: u32,
    /// What the walk has mined, by block.
    blocks: Vec<Vec<Transaction>>,
    deposits: Vec<Transaction>,
    pegs: Vec<(Asked, u64)>,
    sponsors: Vec<Asked>,
    seen: Seen,
}

/// That a walk went where it was meant to go.
#[derive(Debug, Default)]
struct Seen {
    reorgs: usize,
    deaths: usize,
    documents: usize,
}

impl Walk {
    async fn of(w: World, seed: u64) -> Self {
        Self {
            floor: w.tip_height().await + 1,
            w,
            seed,
            blocks: Vec::new(),
            deposits: Vec::new(),
            pegs: Vec::new(),
            sponsors: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Below `bound`; xorshift.
    fn draw(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound
    }

    async fn turn(&mut self) {
        match self.draw(12) {
            0 | 1 => self.peg_in().await,
            2 => self.sponsor().await,
            3 => self.hand_in().await,
            4 | 5 => self.work().await,
            6 | 7 => self.mine_mempool().await,
            8 => self.mine_empty().await,
            9 => self.reorg().await,
            10 => self.die().await,
            _ => self.die_half_way().await,
        }
        self.check().await;
    }

    async fn nft(&self) -> (RosterState, Roster) {
        let backend: &Backend = &self.w.backend;
        let mut reader = backend.store.read().await.unwrap();
        let nft = rotations::chain_nft(backend, &mut reader).await.unwrap();
        let rosters = backend.rosters(&mut reader).await.unwrap();
        (nft.state, rosters.newest().roster().clone())
    }

    /// Asks, if the bridge takes requests now, and pays the deposit.
    async fn ask(&mut self, path: &str, body: serde_json::Value) -> Option<Asked> {
        if self.deposits.len() >= REQUESTS_MAX {
            return None;
        }
        let call = self.w.call(path, &body);
        let response = router(self.w.backend.clone()).oneshot(call).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        let body = body.unwrap();
        if status == 503 {
            return None;
        }
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let request: Request = serde_json::from_slice(&body).unwrap();
        let address: Address<_> = request.deposit_address.parse().unwrap();
        let address = address.require_network(Network::Regtest).unwrap();
        let asked = Asked {
            id: request.id,
            script: address.script_pubkey(),
            deadline_height: request.deadline_height,
        };
        let deposit = self.w.deposit(&asked, DEPOSIT_SAT);
        self.w.chain.relay(deposit.clone());
        self.deposits.push(deposit);
        Some(asked)
    }

    async fn peg_in(&mut self) {
        let body = json!({
            "recipient_address": super::users::address(super::users::USER_KEY),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": FEE_CAP_SAT,
        });
        let epoch = self.nft().await.0.epoch;
        if let Some(asked) = self.ask("/v1/peg-ins", body).await {
            self.pegs.push((asked, epoch));
        }
    }

    /// Somebody pays for the step that is next.
    async fn sponsor(&mut self) {
        let is_announced = self.nft().await.0.next.is_some();
        let step = if is_announced { "execute" } else { "announce" };
        let body = json!({
            "kind": format!("sponsor-{step}"),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": DEPOSIT_SAT,
        });
        if let Some(asked) = self.ask("/v1/sponsors", body).await {
            self.sponsors.push(asked);
        }
    }

    /// The document for the next attempt, from the roster of now.
    async fn hand_in(&mut self) {
        let (state, roster) = self.nft().await;
        if state.next.is_some() || roster.epoch().0 != state.epoch {
            return;
        }
        let document = proposal_after(&self.w, &roster, state.attempt + 1);
        let taken = rotations::take(&self.w.backend, signed(document, 3)).await;
        // A step of one for this number, of before a reorg, may be on record.
        self.seen.documents += usize::from(taken.is_ok_and(|(_, is_new)| is_new));
    }

    /// The lane, as far as it goes: honest operators, who answer whatever was asked last.
    async fn work(&mut self) {
        self.w.look().await;
        // Whatever waits for another try has it now: no time passes here.
        for kind in WORK {
            self.w.job_later_if_any(kind).await;
        }
        for _ in 0..4 {
            let later = clock::now() + MUCH_LATER;
            let built = build::build_at(&self.w.backend, later).await.unwrap();
            self.w.jobs().await;
            let settlements = self.w.settlements().await;
            let mut asked = settlements.iter().filter(|it| it.state.name() == "asked");
            let Some(asked) = asked.next() else {
                if built == Built::Draft {
                    continue;
                }
                return;
            };
            // The question may have died with a process.
            self.w.job_later_if_any(JobKind::AskTimeout).await;
            self.w.jobs().await;
            let mut question = self.w.take_ask().await;
            while settlement_id(&question) != asked.id {
                question = self.w.take_ask().await;
            }
            self.w.sign(&question, &QUORUM).await;
            self.w.answered(asked.id).await;
            self.w.jobs().await;
        }
    }

    async fn mine(&mut self, block: Vec<Transaction>) {
        self.blocks.push(block.clone());
        self.w.mine(block).await;
    }

    async fn mine_mempool(&mut self) {
        self.mine(self.w.chain.mempool()).await;
    }

    async fn mine_empty(&mut self) {
        for _ in 0..=self.draw(3) {
            self.mine(Vec::new()).await;
        }
    }

    /// What blocks held goes back to the mempool, but for what has no age any more (BIP 68) and
    /// what spends that: as Bitcoin Core does it.
    async fn reorg(&mut self) {
        let most = u64::try_from(self.blocks.len()).unwrap();
        let depth = self.draw(REORG_DEPTH_MAX.min(most) + 1);
        let is_lasting = self.draw(2) == 0;
        let kept = self.blocks.len() - usize::try_from(depth).unwrap();
        if depth == 0 {
            return;
        }
        self.seen.reorgs += 1;
        let taken_back = self.blocks.split_off(kept);
        let waiting = self.w.chain.mempool();
        self.w
            .chain
            .fork_at(self.floor + u32::try_from(kept).unwrap());
        self.w.chain.clear_mempool();
        let mut dropped = BTreeSet::new();
        for transaction in taken_back.into_iter().flatten().chain(waiting) {
            let mut inputs = transaction.input.iter();
            if inputs.any(|input| {
                let claimed = input.sequence.to_consensus_u32();
                let claimed = u16::try_from(claimed).map_or(0, usize::from);
                let parent = input.previous_output.txid;
                dropped.contains(&parent) || claimed > self.confirmations(&parent)
            }) {
                dropped.insert(transaction.compute_txid());
            } else {
                self.w.chain.relay(transaction);
            }
        }
        if is_lasting {
            // Nothing of it comes back before as many blocks are there again.
            for _ in 0..=depth {
                self.blocks.push(Vec::new());
                self.w.chain.mine(Vec::new());
            }
        } else {
            self.blocks.push(self.w.chain.mempool());
            self.w.chain.mine_mempool();
            for _ in 0..depth {
                self.blocks.push(Vec::new());
                self.w.chain.mine(Vec::new());
            }
        }
        self.w.scan().await;
    }

    fn confirmations(&self, txid: &Txid) -> usize {
        let holds = |block: &Vec<Transaction>| block.iter().any(|it| it.compute_txid() == *txid);
        let below = self.blocks.iter().rev().position(holds);
        below.map_or(0, |below| below + 1)
    }

    async fn die(&mut self) {
        self.seen.deaths += 1;
        self.w.crash().await;
    }

    /// Dies with a step of the lane done and the next one not.
    async fn die_half_way(&mut self) {
        let _ = self.w.build().await;
        let kinds = [JobKind::Prove, JobKind::DryRun, JobKind::Ask];
        let done = usize::try_from(self.draw(4)).unwrap();
        for kind in kinds.into_iter().take(done) {
            let _ = self.w.job(kind).await;
        }
        self.die().await;
    }

    async fn check(&self) {
        assert_eq!(self.w.alarms().await, [""; 0]);
        let (state, roster) = self.nft().await;
        assert_eq!(roster.epoch().0, state.epoch);
        self.w.check_reserves(state.supply).await;
        let pegs = self.pegs.iter().map(|(asked, _)| asked);
        for asked in pegs.chain(&self.sponsors) {
            let paid = self.w.paid_count(asked).await;
            assert!(paid <= 1, "{} was taken {paid} times", asked.id);
            if self.w.standing(asked).await.0 == "paid" {
                assert_eq!(paid, 1, "{}", asked.id);
            }
        }
    }

    /// Nothing goes wrong any more: a rotation that was asked for is executed, and whoever is
    /// owed something by the roster of now has it.
    async fn peace(&mut self) {
        let began_at = self.nft().await.0.epoch;
        let mut paid_for = None;
        for _ in 0..PEACE_MAX {
            self.hand_in().await;
            let (state, _) = self.nft().await;
            let is_owed = self.owed(state.epoch).await;
            if state.epoch > began_at && state.next.is_none() && !is_owed {
                return;
            }
            let next = (state.epoch, state.next.is_some());
            if state.epoch == began_at && paid_for != Some(next) {
                self.sponsor().await;
                paid_for = Some(next);
            }
            self.work().await;
            self.mine_mempool().await;
            self.check().await;
        }
        let state = self.nft().await.0;
        let settlements = self.w.settlements().await;
        let states: Vec<_> = settlements.iter().map(|it| it.state).collect();
        let mut standings = Vec::new();
        for (asked, _) in &self.pegs {
            standings.push(self.w.standing(asked).await);
        }
        panic!(
            "no end after {PEACE_MAX} turns of peace: {states:?}, {standings:?}, jobs {:?}, {} wait, {} deposits, \
             epoch {} serial {} next {:?}",
            self.w.open_jobs().await,
            self.w.chain.mempool().len(),
            self.deposits.len(),
            state.epoch,
            state.serial,
            state.next
        );
    }

    async fn owed(&self, epoch: u64) -> bool {
        for (asked, of) in &self.pegs {
            if *of == epoch && self.w.standing(asked).await.0 != "paid" {
                return true;
            }
        }
        false
    }
}

async fn walk(seed: u64) -> Seen {
    println!("walk of seed {seed}");
    let mut walk = Walk::of(World::new().await, seed).await;
    for _ in 0..TURNS {
        walk.turn().await;
    }
    walk.peace().await;
    // Whoever reads the chain alone sees the same.
    let (state, roster) = walk.nft().await;
    let rebuilt = Walk::of(walk.w.rebuilt().await, seed).await;
    assert_eq!(rebuilt.nft().await, (state, roster));
    rebuilt.check().await;
    walk.seen
}

#[tokio::test]
async fn rotations_among_pegs_reorgs_and_deaths_complete_once() {
    let mut all = Seen::default();
    for seed in SEEDS {
        let seen = walk(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)).await;
        all.reorgs += seen.reorgs;
        all.deaths += seen.deaths;
        all.documents += seen.documents;
    }
    println!("{all:?}");
    // They went where they were meant to go.
    assert!(
        all.reorgs >= 3 && all.deaths >= 6 && all.documents >= 3,
        "{all:?}"
    );
}
