//! What users do: ask, pay, move zkBTC.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    body::Body,
    http::{Request as HttpRequest, StatusCode},
};
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Witness,
    secp256k1::Secp256k1,
};
use grail_api::Request;
use grail_backend::api::router;
use grail_charms::{PrevTx, token_amount, transfer_spell};
use grail_prover::{ProveRequest, Prover};
use grail_spell::{NormalizedSpell, token_app};
use grail_types::RequestId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    bridge::{WASM, own_script, payment, prover, transaction},
    operators::key,
    world::World,
};

/// What peg-ins deposit, unless told otherwise.
pub const DEPOSIT_SAT: u64 = 100_000;
/// Most that these users pay for a settlement.
pub const FEE_CAP_SAT: u64 = 10_000;
/// Key of the user.
pub const USER_KEY: u8 = 50;

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: RequestId,
    pub script: ScriptBuf,
    pub deadline_height: u32,
}

impl World {
    /// Asks for zkBTC.
    pub async fn ask_peg_in(&self) -> Asked {
        self.ask_peg_in_for(24).await
    }

    /// Asks for zkBTC with a reclaim delay.
    pub async fn ask_peg_in_for(&self, reclaim_delay: u16) -> Asked {
        let body = json!({
            "recipient_address": address(USER_KEY),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": FEE_CAP_SAT,
            "reclaim_delay": reclaim_delay,
        });
        self.create(self.call("/v1/peg-ins", &body)).await
    }

    /// Asks for zkBTC, to pay so much for it at most.
    pub async fn ask_peg_in_capped(&self, fee_cap_sat: u64) -> Asked {
        self.create(self.peg_in_call(fee_cap_sat)).await
    }

    /// The call of the API that asks for zkBTC.
    pub fn peg_in_call(&self, fee_cap_sat: u64) -> HttpRequest<Body> {
        let body = json!({
            "recipient_address": address(USER_KEY),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": fee_cap_sat,
        });
        self.call("/v1/peg-ins", &body)
    }

    /// Asks for BTC.
    pub async fn ask_peg_out(&self) -> Asked {
        let body = json!({
            "payout_address": address(USER_KEY),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": FEE_CAP_SAT,
        });
        self.create(self.call("/v1/peg-outs", &body)).await
    }

    /// Asks to pay for a step of a rotation.
    pub async fn ask_sponsor(&self, kind: &str) -> Asked {
        self.ask_sponsor_of(kind, DEPOSIT_SAT).await
    }

    /// The same, with at most so much.
    pub async fn ask_sponsor_of(&self, kind: &str, most: u64) -> Asked {
        let body = json!({
            "kind": kind,
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": most,
        });
        self.create(self.call("/v1/sponsors", &body)).await
    }

    /// A call that creates something.
    pub fn call(&self, path: &str, body: &Value) -> HttpRequest<Body> {
        HttpRequest::post(path)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("key-{}", self.next_number()))
            .body(Body::from(body.to_string()))
            .unwrap()
    }

    async fn create(&self, request: HttpRequest<Body>) -> Asked {
        let response = router(self.backend.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        let request: Request = serde_json::from_slice(&body).unwrap();
        let address: Address<_> = request.deposit_address.parse().unwrap();
        Asked {
            id: request.id,
            script: address
                .require_network(Network::Regtest)
                .unwrap()
                .script_pubkey(),
            deadline_height: request.deadline_height,
        }
    }

    /// What the API answers.
    pub async fn answer<T: DeserializeOwned>(&self, request: HttpRequest<Body>) -> T {
        let response = router(self.backend.clone()).oneshot(request).await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        serde_json::from_slice(&body.unwrap()).unwrap()
    }

    /// A deposit out of nowhere.
    pub fn deposit(&self, asked: &Asked, sat: u64) -> Transaction {
        payment(self.next_number(), asked.script.clone(), sat)
    }

    /// Peg-ins whose deposits are in one block; the requests and their deposits.
    pub async fn ready_peg_ins(&self, count: usize) -> Vec<(Asked, OutPoint)> {
        let (mut ready, mut block) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let asked = self.ask_peg_in().await;
            let deposit = self.deposit(&asked, DEPOSIT_SAT);
            ready.push((asked, OutPoint::new(deposit.compute_txid(), 0)));
            block.push(deposit);
        }
        self.mine(block).await;
        ready
    }

    /// zkBTC that a transaction gives to the user.
    pub fn tokens(&self, made: &Transaction) -> BTreeMap<OutPoint, u64> {
        let token = token_app(&self.backend.bridge().app);
        let read = PrevTx::read(made.clone(), self.backend.mock());
        (0_u32..)
            .zip(&made.output)
            .filter(|(_, output)| output.script_pubkey == own_script(USER_KEY))
            .filter_map(|(vout, _)| {
                let amount = token_amount(&read.charms_at(vout), &token).unwrap();
                (amount > 0).then(|| (OutPoint::new(read.txid(), vout), amount))
            })
            .collect()
    }

    /// A transfer of zkBTC under a real spell: `inputs` of `previous` to the scripts.
    pub fn transfer(
        &self,
        previous: &[Transaction],
        inputs: &[OutPoint],
        to: &[(ScriptBuf, u64)],
    ) -> Transaction {
        let (plan, spell) = self.transfer_plan(inputs, to);
        let needed: BTreeSet<Txid> = inputs.iter().map(|input| input.txid).collect();
        let previous = previous
            .iter()
            .filter(|transaction| needed.contains(&transaction.compute_txid()));
        let request = ProveRequest::of_bridge(spell, previous, WASM.to_vec());
        carrying(plan, prover().prove(&request).unwrap().op_return)
    }

    /// A transfer that nobody checked, its spell changed at will.
    pub fn forged_transfer(
        &self,
        inputs: &[OutPoint],
        to: &[(ScriptBuf, u64)],
        change: impl FnOnce(&mut NormalizedSpell),
    ) -> Transaction {
        let (plan, mut spell) = self.transfer_plan(inputs, to);
        change(&mut spell);
        let proven = prover().prove_unchecked(&spell).unwrap();
        carrying(plan, proven.op_return)
    }

    fn transfer_plan(
        &self,
        inputs: &[OutPoint],
        to: &[(ScriptBuf, u64)],
    ) -> (Transaction, NormalizedSpell) {
        let outputs = to
            .iter()
            .map(|(script_pubkey, _)| TxOut {
                value: self.backend.params().carrier,
                script_pubkey: script_pubkey.clone(),
            })
            .collect();
        let mut plan = transaction(inputs, outputs);
        for input in &mut plan.input {
            input.witness = Witness::from_slice(&[[0_u8; 64]]);
        }
        let amounts: Vec<u64> = to.iter().map(|(_, amount)| *amount).collect();
        let spell = transfer_spell(&plan, &self.backend.bridge().app, &amounts).unwrap();
        (plan, spell)
    }
}

fn carrying(mut plan: Transaction, op_return: ScriptBuf) -> Transaction {
    plan.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: op_return,
    });
    plan
}

/// The address of key number `seed`.
pub fn address(seed: u8) -> String {
    Address::p2tr(&Secp256k1::new(), key(seed), None, Network::Regtest).to_string()
}
