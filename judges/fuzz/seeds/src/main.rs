//! Writes `judges/fuzz/corpus` and `judges/fuzz/fixtures`: real transactions and documents where
//! the vectors are at hand, Grail's own spells, states, proposals and requests, and corner cases of
//! CBOR.
//!
//! Run after a change of the protocol: `cargo run --manifest-path judges/fuzz/Cargo.toml -p
//! grail-fuzz-seeds`. Inputs are named by what they are, so that a change shows in the diff.

use grail_fixtures::world as support;

mod spells;

use std::fs;
use std::path::{Path, PathBuf};

use charms_data::{Data, util};
use grail_attest::{Protocol, UnixTime};
use grail_attest_dev::InsecureDevTee;
use grail_fixtures::house::{House, Rotation};
use grail_tee::attest_signer;
use grail_types::{BoundedBytes, BoundedVec, DevelopmentAllowed, Epoch, Network};
use grail_wire::{Adopt, Attempt, Boot, Request, encode, encode_proposal};
use support::{World, keypair, peg_in, peg_out, public, real_world};

/// The instant at which the targets' simulated hardware lives.
const NOW_MS: u64 = 1_780_000_000_000;

fn main() {
    let corpus = Corpus::new(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("a folder"),
    );
    let world = real_world();
    let protocol = Protocol::new(
        world.bridge,
        world.params.clone(),
        world.images.clone(),
        grail_fixtures::world::governance(),
    )
    .expect("a world's parameters name its images");
    corpus.fixture(
        "protocol.json",
        &serde_json::to_vec_pretty(&protocol).expect("a protocol is JSON"),
    );
    spells::write(&corpus, world);
    states(&corpus, world);
    proposals(&corpus, world);
    requests(&corpus, world);
    documents(&corpus, world);
}

/// Where inputs go.
struct Corpus {
    fuzz: PathBuf,
}

impl Corpus {
    /// Begins anew.
    fn new(fuzz: &Path) -> Self {
        let corpus = fuzz.join("corpus");
        if corpus.exists() {
            fs::remove_dir_all(&corpus).expect("the old corpus can go");
        }
        Self {
            fuzz: fuzz.to_path_buf(),
        }
    }

    fn seed(&self, target: &str, name: &str, bytes: &[u8]) {
        let folder = self.fuzz.join("corpus").join(target);
        fs::create_dir_all(&folder).expect("a folder for the corpus");
        fs::write(folder.join(name), bytes).expect("a place for the corpus");
    }

    fn fixture(&self, name: &str, bytes: &[u8]) {
        let folder = self.fuzz.join("fixtures");
        fs::create_dir_all(&folder).expect("a folder for fixtures");
        let mut bytes = bytes.to_vec();
        bytes.push(b'\n');
        fs::write(folder.join(name), bytes).expect("a place for fixtures");
    }
}

/// The folder `name` of the project's vectors, unless this is a clone of the project alone.
fn vectors(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "no vectors at {}: seeds of real {name} are left out",
        folder.display()
    );
    None
}

/// Files of `folder` with this extension, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn states(corpus: &Corpus, world: &World) {
    let data = |name: &str, data: &Data| {
        corpus.seed(
            "roster_state",
            name,
            &util::write(data).expect("data encodes"),
        );
    };
    data("of-the-world", &world.state.to_data());
    let mut state = world.state.clone();
    state.signers.truncate(4);
    state.threshold = 3;
    data("four-signers", &state.to_data());
    state.supply = grail_bridge_contract::MAX_SUPPLY_SAT;
    (state.epoch, state.serial) = (u64::MAX, u64::MAX);
    data("extremes", &state.to_data());
    state.threshold = 1;
    data("no-majority", &state.to_data());
    state.signers.reverse();
    data("descending", &state.to_data());
    data("amount", &Data::from(&21_000_000_u64));
    data("amount-negative", &Data::from(&-1_i64));
    for (name, bytes) in spells::corner_cases() {
        corpus.seed("roster_state", name, &bytes);
    }
}

fn proposals(corpus: &Corpus, world: &World) {
    for (name, case) in [
        ("usual", world.usual()),
        ("one-peg-in", world.case(&[peg_in(1_000_000)])),
        ("one-peg-out", world.case(&[peg_out(400_000)])),
    ] {
        let proposal = case.draft.propose(world);
        let approved = world.approve(&proposal);
        assert!(
            approved.is_ok(),
            "{name} must be a settlement to sign: {approved:?}"
        );
        let encoded = encode_proposal(&proposal.wire()).expect("proposals encode");
        corpus.seed("proposal", name, &encoded);
        let mut bare = proposal;
        bare.previous.clear();
        bare.requests.clear();
        let encoded = encode_proposal(&bare.wire()).expect("proposals encode");
        corpus.seed("proposal", &format!("{name}-bare"), &encoded);
    }
    of_two_rosters(corpus);
    let succession = support::steps::succession(world);
    let announcing = world.announcing(&succession);
    let announced = world.after(&announcing);
    for (name, world, step) in [
        ("announce", world, announcing),
        ("cancel", &announced, announced.cancelling()),
        ("execute", &announced, announced.executing(&succession)),
        ("merge", world, world.merging(&[5_000, 330])),
    ] {
        let approved = step.approve(world);
        assert!(approved.is_ok(), "{name} must be signed: {approved:?}");
        let encoded = encode_proposal(&step.propose(world)).expect("proposals encode");
        corpus.seed("proposal", name, &encoded);
    }
    for (name, request) in all_requests(world) {
        let encoded = encode(Epoch(0), &request).expect("requests encode");
        if encoded.len() < 2_000 {
            corpus.seed("proposal", &format!("request-{name}"), &encoded);
        }
    }
}

/// A settlement of deposits of which one is a former roster's.
fn of_two_rosters(corpus: &Corpus) {
    let world = support::later_world();
    let pegs = [peg_in(1_000_000), peg_out(400_000)];
    let terms = vec![world.former_terms(&pegs[0], 1), world.terms(&pegs[1], 2)];
    let case = world.case_of(world.deposits_for(&pegs, terms), &|_| {});
    let proposal = case.draft.propose(world);
    let approved = world.approve(&proposal);
    assert!(
        approved.is_ok(),
        "must be a settlement to sign: {approved:?}"
    );
    let encoded = encode_proposal(&proposal.wire()).expect("proposals encode");
    corpus.seed("proposal", "of-two-rosters", &encoded);
}

fn all_requests(world: &World) -> Vec<(&'static str, Request)> {
    let proposal = world.case(&[peg_in(1_000_000)]).draft.propose(world);
    vec![
        (
            "boot",
            Request::Boot(Boot {
                bridge: world.bridge,
                sealed: None,
            }),
        ),
        ("identify", Request::Identify),
        ("attest", Request::Attest { nonce: [7; 32] }),
        (
            "decide",
            Request::Decide {
                attempt: Attempt::default(),
                proposal: BoundedBytes::new(
                    encode_proposal(&proposal.wire()).expect("proposals encode"),
                )
                .expect("a proposal fits"),
            },
        ),
        ("adopt", Request::Adopt(adoption(world))),
    ]
}

/// The deployment, and a rotation to other sixteen people.
fn adoption(world: &World) -> Adopt {
    let next = (100..116).map(keypair).collect();
    let rotation = Rotation {
        bridge: &world.bridge,
        wasm: world.wasm,
        made: &world.genesis,
        funding: None,
        from: &House::new(&world.secp, 0, world.keys.clone(), 12),
        to: &House::new(&world.secp, 1, next, 12),
    };
    let bytes = |bytes| BoundedBytes::new(bytes).expect("a handover fits");
    let step = bytes(rotation.signed_by(12).to_bytes());
    Adopt {
        genesis: world.deployment.compute_txid(),
        deployment: Some(bytes(bitcoin::consensus::serialize(&world.deployment))),
        handovers: BoundedVec::new(vec![step]).expect("one fits"),
    }
}

/// Frames as a host writes them: each request alone, and a whole conversation.
fn requests(corpus: &Corpus, world: &World) {
    let mut conversation = Vec::new();
    for (name, request) in all_requests(world) {
        let encoded = encode(Epoch(0), &request).expect("requests encode");
        let length = u32::try_from(encoded.len()).expect("requests are short");
        let frame = [&length.to_le_bytes()[..], &encoded].concat();
        if encoded.len() < 2_000 {
            corpus.seed("enclave", name, &frame);
        }
        conversation.extend(frame);
    }
    corpus.seed("enclave", "conversation", &conversation);
    corpus.seed("enclave", "too-long", &u32::MAX.to_le_bytes());
    corpus.seed("enclave", "cut-off", &[3, 0, 0, 0, 0xa1]);
    corpus.seed("enclave", "empty-frame", &[0; 4]);
}

fn documents(corpus: &Corpus, world: &World) {
    let allowed = DevelopmentAllowed::on(Network::Regtest).expect("regtest allows it");
    let tee = InsecureDevTee::new(allowed, [0x21; 48], [0x31; 32], || {
        UnixTime::from_millis(NOW_MS)
    });
    let document = attest_signer(&tee, &world.bridge, &public(&keypair(1)), Some(&[7; 32]))
        .expect("simulated hardware attests");
    let at = |millis: u64, document: &[u8]| [&millis.to_be_bytes()[..], document].concat();
    corpus.seed("attestation", "development", &at(NOW_MS, &document));
    corpus.seed("attestation", "development-late", &at(u64::MAX, &document));
    corpus.seed(
        "attestation",
        "development-cut",
        &at(NOW_MS, &document[..200]),
    );
    corpus.seed(
        "attestation",
        "empty-sign1",
        &at(
            NOW_MS,
            &[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x40, 0x40],
        ),
    );
    for (name, bytes) in spells::corner_cases().into_iter().take(4) {
        corpus.seed("attestation", name, &at(NOW_MS, &bytes));
    }
    let Some(folder) = vectors("nitro") else {
        return;
    };
    let index = fs::read(folder.join("index.json")).expect("an index of documents");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("an index of documents");
    for path in files(&folder, "cose").into_iter().step_by(3) {
        let document = fs::read(&path).expect("a document");
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let millis = index
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["file"].as_str() == name.as_deref())
            .and_then(|entry| entry["timestamp_ms"].as_u64())
            .unwrap_or(NOW_MS);
        corpus.seed("attestation", &stem(&path), &at(millis, &document));
    }
}
