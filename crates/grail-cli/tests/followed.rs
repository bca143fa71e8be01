//! A wallet whose bridge has handed over to other administrators and other parameters since it was
//! pinned: on a real Bitcoin Core it takes both by evidence, and nothing by an API's word.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::{Address, BlockHash, OutPoint, Txid, XOnlyPublicKey};
use common::User;
use common::api::{Api, replace};
use common::houses::World;
use grail_api::{
    Page, ParamsAnswer, ProposedRoster, ROTATION_VERSION, RosterAnswer, RosterRecord,
    RosterSummary, RotationDocument, RotationPaper, SpentOutput,
};
use grail_attest::Protocol;
use grail_chain::BlockSource as _;
use grail_cli::arguments::{Approve, AtBlock, Rosters};
use grail_cli::commands::{self, operator};
use grail_cli::progress::{Notes, Quiet};
use grail_cli::report::{RotationReport, StepExplanation};
use grail_cli::{Failure, Session};
use grail_fixtures::house::Rotated;
use grail_fixtures::world::{governance, images, keypair, public};
use grail_policy::adoption::Handover;
use grail_types::{BoundedVec, Epoch, Governance, Roster};
use serde_json::{Value, json};

/// Of the four administrators one goes, and another comes.
fn others() -> Governance {
    let mut keys = governance().administrators()[1..].to_vec();
    keys.push(public(&keypair(990)));
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Governance::new(keys, 3).unwrap()
}

/// A bridge that was pinned before it handed over, and its API.
struct Handed {
    world: World,
    rotated: Rotated,
    now: Protocol,
    api: Api,
}

impl Handed {
    /// With the hand-over in a block, or in the mempool.
    fn new(is_mined: bool) -> Self {
        let world = World::under([governance(), others(), others()]);
        let params = world.protocol.params();
        let params = params.with(|values| values.notice += 5).unwrap();
        let bridge = *world.protocol.bridge();
        let now = Protocol::new(bridge, params, images(), others()).unwrap();
        let rotated = world.rotation_to(&world.deployment, 0, 3, |state| {
            state.params_hash = now.hash().0;
        });
        world.node.send(&rotated.announcement);
        world.node.mine(1);
        world.node.send(&rotated.transaction);
        let block = is_mined.then(|| world.node.mine(1)[0]);
        let api = Api::start(OutPoint::null());
        let handed = Self {
            world,
            rotated,
            now,
            api,
        };
        handed.serve(block);
        handed
    }

    fn serve(&self, block: Option<BlockHash>) {
        let (w, api) = (&self.world, &self.api);
        api.serve("/v1/params", &self.params());
        let deployed = Handover {
            transaction: w.deployment.clone(),
            spent: Vec::new(),
            governance: governance(),
        };
        let first = self.record(0, &deployed, &w.protocol, None);
        let second = self.record(1, &self.rotated, &self.now, block);
        let mut summary = serde_json::to_value(&second).unwrap();
        summary["signer_count"] = json!(4);
        let summary: RosterSummary = serde_json::from_value(summary).unwrap();
        let newest = Page {
            items: vec![summary],
            next: None,
        };
        api.serve("/v1/rosters?limit=1", &newest);
        api.serve("/v1/rosters/0", &first);
        api.serve("/v1/rosters/1", &second);
        let roster = RosterAnswer {
            epoch: Epoch(1),
            threshold: second.threshold,
            address: second.address,
            nft_outpoint: OutPoint::new(self.rotated.transaction.compute_txid(), 0),
            signers: Vec::new(),
            former: Vec::new(),
        };
        api.serve("/v1/roster", &roster);
    }

    fn params(&self) -> ParamsAnswer {
        ParamsAnswer {
            bridge: *self.now.bridge(),
            params: self.now.params().clone(),
            images: self.now.images().get().clone(),
            governance: self.now.governance().clone(),
            params_hash: self.now.hash(),
        }
    }

    fn record(
        &self,
        epoch: u64,
        made: &Handover,
        protocol: &Protocol,
        block: Option<BlockHash>,
    ) -> RosterRecord {
        let house = &self.world.houses[usize::try_from(epoch).unwrap()];
        let script = &house.vault.script_pubkey;
        let address = Address::from_script(script, bitcoin::Network::Regtest).unwrap();
        RosterRecord {
            epoch: Epoch(epoch),
            threshold: house.roster.threshold(),
            public_keys: house.roster.signers().to_vec(),
            address: address.to_string(),
            governance: made.governance.clone(),
            params_hash: protocol.hash(),
            params: Some(protocol.params().clone()),
            images: Some(protocol.images().get().clone()),
            txid: made.transaction.compute_txid(),
            height: None,
            serves_until_height: None,
            block_hash: block,
            transaction: serialize_hex(&made.transaction),
            spent: made
                .spent
                .iter()
                .map(|output| SpentOutput {
                    amount_sat: output.value.to_sat(),
                    script: output.script_pubkey.to_hex_string(),
                })
                .collect(),
        }
    }

    /// A wallet that was there before the hand-over.
    fn user(&self) -> User {
        self.world.user(&self.api.url())
    }
}

fn now(user: &User) -> Result<Protocol, Failure> {
    user.open().protocol_of_now(&mut Quiet)
}

#[test]
fn a_pinned_wallet_follows_to_other_administrators_and_parameters() {
    let handed = Handed::new(true);
    let user = handed.user();
    let mut notes = Notes::default();
    let followed = user.open().protocol_of_now(&mut notes).unwrap();
    assert_eq!(followed, handed.now);
    let [note] = notes.0.as_slice() else {
        panic!("{notes:?}");
    };
    assert_eq!(note.code, "protocol-followed");
    for said in ["other administrators: 3 of 4", "1 of them new", "params "] {
        assert!(note.message.contains(said), "{note}");
    }
    // It lies beside the pin, and the next command says nothing of it any more.
    let session = user.open();
    assert_eq!(session.pinned_protocol(), Some(&handed.world.protocol));
    let known: Vec<_> = session.known_protocols().collect();
    assert_eq!(known, [&handed.world.protocol, &handed.now]);
    drop(session);
    let mut notes = Notes::default();
    assert_eq!(user.open().protocol_of_now(&mut notes).unwrap(), handed.now);
    assert_eq!(notes.0, []);
    // The new vault is nobody's to pay to, before anything else asked for it.
    let vault = &handed.world.houses[1].vault.script_pubkey;
    let address = Address::from_script(vault, bitcoin::Network::Regtest).unwrap();
    let stranger = handed.user();
    let refused = stranger.send(10_000, &address.to_string()).unwrap_err();
    assert_eq!(refused.code, "vault-address");
}

/// Each lie alone, and its code. Nothing of it is kept.
#[test]
fn nothing_of_a_rotation_is_taken_by_an_apis_word() {
    type Change = (&'static str, &'static str, Value);
    let handed = Handed::new(true);
    let user = handed.user();
    let mut made_up = handed.now.params().clone();
    made_up = made_up.with(|values| values.notice += 1).unwrap();
    let made_up = Protocol::new(*handed.now.bridge(), made_up, images(), others()).unwrap();
    let spent = OutPoint::new(handed.world.deployment.compute_txid(), 0);
    let lies: [(&[Change], &str); 8] = [
        // Administrators that no roster installed.
        (
            &[("/v1/params", "/governance", json!(governance()))],
            "administrators-changed",
        ),
        // The same, with a history to fit.
        (
            &[
                ("/v1/params", "/governance", json!(governance())),
                ("/v1/rosters/1", "/governance", json!(governance())),
            ],
            "wrong-governance",
        ),
        // Parameters that no roster installed.
        (
            &[
                ("/v1/params", "/params", json!(made_up.params())),
                ("/v1/params", "/params_hash", json!(made_up.hash())),
            ],
            "params-changed",
        ),
        (
            &[
                ("/v1/params", "/params", json!(made_up.params())),
                ("/v1/params", "/params_hash", json!(made_up.hash())),
                ("/v1/rosters/1", "/params_hash", json!(made_up.hash())),
            ],
            "history-differs",
        ),
        // The hand-over is hidden, and what it brought shown.
        (
            &[("/v1/rosters?limit=1", "/items/0/epoch", json!(0))],
            "params-changed",
        ),
        // Another transaction than the quorum signed.
        (
            &[("/v1/rosters/1", "/spent/0/amount_sat", json!(1))],
            "signature-invalid",
        ),
        (&[("/v1/rosters/1", "/spent", json!([]))], "spent-count"),
        // A history that the chain does not end with.
        (
            &[("/v1/roster", "/nft_outpoint", json!(spent))],
            "nft-spent",
        ),
    ];
    for (changes, code) in lies {
        let changes = changes.to_vec();
        let told = format!("{changes:?}");
        handed.api.lie(move |path, answer| {
            for (at, pointer, value) in &changes {
                if *at == path {
                    replace(answer, pointer, value.clone());
                }
            }
        });
        assert_eq!(now(&user).unwrap_err().code, code, "{told}");
        let session = user.open();
        assert_eq!(session.known_protocols().count(), 1, "{told}");
    }
    handed.api.be_honest();
    assert_eq!(now(&user).unwrap(), handed.now);
}

/// Of which deployment was mined only a chain of one's own tells.
#[test]
fn without_a_node_nothing_is_followed() {
    let handed = Handed::new(true);
    let user = handed.user();
    let mut settings = user.settings.clone();
    settings.node = None;
    settings.node_cookie = None;
    let config = settings.home.join("config.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    kept.as_object_mut().unwrap().remove("node");
    std::fs::write(&config, kept.to_string()).unwrap();
    let mut session = Session::open(settings).unwrap();
    let refused = session.protocol_of_now(&mut Quiet).unwrap_err();
    assert_eq!(refused.code, "params-changed");
    assert!(refused.message.contains("give --node"), "{refused}");
}

/// Two deployments of one deployer, say: a wallet goes along with the one that it pinned.
#[test]
fn a_history_that_never_went_by_the_pin_leads_nowhere() {
    let handed = Handed::new(true);
    let mut pinned = serde_json::to_value(&handed.world.protocol).unwrap();
    pinned["governance"] = json!(others());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pinned.to_string()).unwrap();
    let init = grail_cli::arguments::Init {
        protocol: Some(file.path().to_owned()),
        ..Default::default()
    };
    let user = User::with(&handed.world.node, Some(&handed.api.url()), &init);
    assert_eq!(now(&user).unwrap_err().code, "pin-not-in-history");
}

#[test]
fn a_hand_over_that_is_in_no_block_is_waited_for() {
    let handed = Handed::new(false);
    let user = handed.user();
    assert_eq!(now(&user).unwrap_err().code, "history-not-mined");
    // Whatever block the API names.
    let before = handed.world.node.height();
    let before = handed.world.node.chain().block_hash(before).unwrap();
    handed.serve(before);
    assert_eq!(now(&user).unwrap_err().code, "history-not-mined");
    let block = handed.world.node.mine(1)[0];
    handed.serve(Some(block));
    assert_eq!(now(&user).unwrap(), handed.now);
}

/// A rotation that somebody proposes after the hand-over, which says of today what the change makes
/// of it.
fn proposal(handed: &Handed, change: impl FnOnce(&mut RotationDocument)) -> RotationDocument {
    let house = &handed.world.houses[1];
    let keys = house.roster.signers().to_vec();
    let proposed = ProposedRoster {
        roster: Roster::new(Epoch(2), keys, house.roster.threshold()).unwrap(),
        governance: house.governance.clone(),
        params: handed.world.protocol.params().clone(),
        images: images(),
        spell_min: 15,
        spell_max: 15,
        evidence: BoundedVec::default(),
        newcomers: BoundedVec::default(),
    };
    let mut document = RotationDocument {
        version: ROTATION_VERSION,
        bridge: *handed.now.bridge(),
        roster: house.roster.clone(),
        governance: house.governance.clone(),
        attempt: 2,
        paper: RotationPaper::Announce(Box::new(proposed)),
        consents: BoundedVec::default(),
    };
    change(&mut document);
    document
}

/// Signs on a machine without a network, whose files are these.
fn approve(
    document: &RotationDocument,
    history: &Value,
    pinned: &Value,
    deployment: Txid,
) -> Result<RotationReport, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let secret = keypair(990).secret_bytes();
    let key = write("own.key", hex::encode(secret));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    operator::approve(&Approve {
        file: write("proposal.json", json!(document).to_string()),
        key,
        protocol: write("protocol.json", pinned.to_string()),
        roster: None,
        history: Some(write("history.json", history.to_string())),
        deployment: Some(deployment),
        basis: None,
        to: folder.path().join("signed.json"),
    })
}

#[test]
fn an_administrator_without_a_network_believes_no_proposer() {
    let handed = Handed::new(true);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.json");
    let asked = Rosters {
        to: Some(file.clone()),
    };
    let user = handed.user();
    commands::rosters(&mut user.open(), &asked, &mut Quiet).unwrap();
    let again = commands::rosters(&mut user.open(), &asked, &mut Quiet);
    assert_eq!(again.unwrap_err().code, "file-failed");
    let history: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let pinned = json!(handed.world.protocol);
    let genuine = proposal(&handed, |_| ());

    let deployment = handed.world.deployment.compute_txid();
    let told = approve(&genuine, &history, &pinned, deployment).unwrap();
    assert_eq!(told.approvals, 1);
    let changed = told.changed_params.as_ref().unwrap();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].name, "notice");
    assert!(told.believed[0].contains("epoch 1 is the newest"), "{told}");
    assert!(told.believed[1].contains("above 1"), "{told}");

    let code = |document: &RotationDocument, history: &Value, pinned: &Value| {
        let refused = approve(document, history, pinned, deployment);
        refused.unwrap_err().code
    };
    // A proposer who says something else of today.
    let houses = &handed.world.houses;
    let former = proposal(&handed, |document| {
        document.roster = houses[0].roster.clone();
        let RotationPaper::Announce(proposed) = &mut document.paper else {
            panic!("it announces");
        };
        let keys = houses[0].roster.signers().to_vec();
        proposed.roster = Roster::new(Epoch(1), keys, houses[0].roster.threshold()).unwrap();
    });
    assert_eq!(code(&former, &history, &pinned), "rotation-epoch");
    let keys = houses[2].roster.signers().to_vec();
    let foreign = Roster::new(Epoch(1), keys.clone(), houses[2].roster.threshold()).unwrap();
    let foreign = proposal(&handed, |document| {
        document.roster = foreign;
        let RotationPaper::Announce(proposed) = &mut document.paper else {
            panic!("it announces");
        };
        proposed.roster = Roster::new(Epoch(2), keys, houses[2].roster.threshold()).unwrap();
    });
    assert_eq!(code(&foreign, &history, &pinned), "rotation-differs");
    let usurped = proposal(&handed, |document| {
        let mut keys = others().administrators()[1..].to_vec();
        keys.push(public(&keypair(991)));
        keys.sort_by_key(XOnlyPublicKey::serialize);
        document.governance = Governance::new(keys, 3).unwrap();
        let RotationPaper::Announce(proposed) = &mut document.paper else {
            panic!("it announces");
        };
        proposed.governance = document.governance.clone();
    });
    assert_eq!(code(&usurped, &history, &pinned), "rotation-differs");
    let spent = proposal(&handed, |document| document.attempt = 1);
    assert_eq!(code(&spent, &history, &pinned), "rotation-attempt");

    // A file that somebody altered.
    let altered = |pointer: &str, value: Value| {
        let mut history = history.clone();
        *history.pointer_mut(pointer).unwrap() = value;
        history
    };
    for (pointer, value, expected) in [
        ("/rosters", json!([]), "history-gap"),
        ("/rosters/1/params", Value::Null, "history-malformed"),
        (
            "/rosters/1/spent/0/amount_sat",
            json!(1),
            "signature-invalid",
        ),
        (
            "/rosters/1/governance",
            json!(governance()),
            "wrong-governance",
        ),
        (
            "/rosters/1/params",
            json!(handed.world.protocol.params()),
            "params-changed",
        ),
    ] {
        let history = altered(pointer, value);
        assert_eq!(code(&genuine, &history, &pinned), expected, "{pointer}");
    }
    // Anybody can write a history that begins with a deployment of his own, which was never mined.
    let own = Txid::from_byte_array([7; 32]);
    let refused = approve(&genuine, &history, &pinned, own);
    assert_eq!(refused.unwrap_err().code, "not-genesis");
    // The history of a bridge that is not the one of the protocol file.
    let mut other = pinned;
    other["governance"] = json!(others());
    assert_eq!(code(&genuine, &history, &other), "pin-not-in-history");
}

#[test]
fn a_step_is_explained_from_the_nodes_chain_alone() {
    let handed = Handed::new(true);
    let user = handed.user();
    let explain = |txid, block: Option<AtBlock>| {
        commands::explain_transaction(&mut user.open(), txid, block.as_ref())
    };
    let codes = |told: &StepExplanation| -> Vec<&'static str> {
        told.reasons.iter().map(|it| it.code).collect()
    };
    // Found by its unspent outputs: NFT and vault are where it left them.
    let executed = handed.rotated.transaction.compute_txid();
    let told = explain(executed, None).unwrap();
    assert_eq!((told.action, told.epoch), (Some("execute"), Some(1)));
    for code in ["as-announced", "vault-moved", "sponsor", "fee", "in-block"] {
        assert!(codes(&told).contains(&code), "{told}");
    }
    let [from, to] = [0, 1].map(|epoch: usize| {
        let script = &handed.world.houses[epoch].vault.script_pubkey;
        Address::from_script(script, bitcoin::Network::Regtest).unwrap()
    });
    let moved = format!("moves from {from} to {to}");
    assert!(told.to_string().contains(&moved), "{told}");
    let changed = told.reasons.iter().filter(|it| it.code == "goes-by");
    let changed: Vec<_> = changed.map(|it| it.text.as_str()).collect();
    assert_eq!(
        changed,
        [
            "administrators: others than before",
            "parameters: others than before",
            "spell versions: as before"
        ]
    );
    // All of whose outputs are spent: its block has to be named.
    let announced = handed.rotated.announcement.compute_txid();
    let refused = explain(announced, None).unwrap_err();
    assert_eq!(refused.code, "unknown-transaction");
    let height = handed.world.node.height() - 1;
    let told = explain(announced, Some(AtBlock::Height(height))).unwrap();
    assert_eq!(told.action, Some("announce"));
    assert_eq!(told.earliest_height, Some(height + 1));
    let elsewhere = explain(announced, Some(AtBlock::Height(height - 1)));
    assert_eq!(elsewhere.unwrap_err().code, "unknown-transaction");
    let nowhere = BlockHash::from_byte_array([7; 32]);
    let nowhere = explain(announced, Some(AtBlock::Hash(nowhere)));
    assert_eq!(nowhere.unwrap_err().code, "block-unknown");
}

#[test]
fn a_step_that_waits_for_its_block_is_called_a_claim() {
    let handed = Handed::new(false);
    let user = handed.user();
    let executed = handed.rotated.transaction.compute_txid();
    let told = commands::explain_transaction(&mut user.open(), executed, None).unwrap();
    assert_eq!(told.action, Some("execute"));
    let last = told.reasons.last().unwrap();
    assert_eq!(last.code, "in-no-block");
    assert!(told.reasons.iter().any(|it| it.code == "vault-moved"));
}
