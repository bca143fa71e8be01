//! Real hosts and enclaves against a real hub.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, process::Stdio, time::UNIX_EPOCH};

use bitcoin::{
    OutPoint, ScriptBuf, Transaction, TxIn, XOnlyPublicKey, absolute::LockTime, hashes::Hash,
    secp256k1::Secp256k1, transaction::Version,
};
use grail_ask::{FaultMessage, Reply, VerifiedAnswer};
use grail_attest::{Protocol, SignerExpectation, UnixTime, verify_signer_evidence};
use grail_fixtures::world::{
    Peg, Setup, World, coin, funding, keypair, output, peg_in, peg_out, public, transaction, world,
};
use grail_policy::judge;
use grail_script::ProbeTree;
use grail_txbuild::Collector;
use grail_types::{BoundedVec, Bridge, Epoch, Network, ParamsValues, Roster, Threshold};
use grail_wire::{
    Action, Answer, FaultCode, PREVIOUS_MAX_BYTES, PROPOSAL_MAX_BYTES, ProbeRequest, Proposal,
    ProposalId, SettlementRequest, Verdict, encode_proposal,
};
use nix::sys::signal::Signal;
use support::{
    Backend, DEADLINE, Folder, Host, Ready, attempt, enclave_program, kill_process, protocol,
    until_gone,
};
use tokio::{io::AsyncReadExt as _, net::UnixDatagram, time::timeout};

/// Well-formed, and nothing that any policy approves.
fn absurd_proposal(protocol: &Protocol) -> Vec<u8> {
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(bitcoin::Txid::all_zeros(), 0),
            ..TxIn::default()
        }],
        output: Vec::new(),
    };
    let action = Action::Settlement(SettlementRequest {
        requests: BoundedVec::default(),
        former: None,
    });
    let params = protocol.params().clone();
    let governance = protocol.governance().clone();
    let proposal = Proposal::new(Epoch(0), params, governance, transaction, [], action).unwrap();
    encode_proposal(&proposal).unwrap()
}

fn fault(reply: Reply) -> FaultMessage {
    match reply {
        Reply::Fault(fault) => fault,
        Reply::Answer(_) => panic!("expected a fault, got an answer"),
    }
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Reply::Answer(message) => grail_wire::decode(&message.answer).unwrap().message,
        Reply::Fault(fault) => panic!("expected an answer, got {fault:?}"),
    }
}

/// A hub, and an operator that has said hello to it.
struct Introduced {
    protocol: Protocol,
    folder: Folder,
    backend: Backend,
    host: Host,
    ready: Ready,
}

async fn introduced() -> Introduced {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let mut backend = Backend::start().await;
    let mut host = folder.host(&backend);
    let ready = host.ready().await;
    backend.hello().await;
    Introduced {
        protocol,
        folder,
        backend,
        host,
        ready,
    }
}

#[tokio::test]
async fn a_key_is_born_once_and_is_the_same_after_a_restart() {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let mut backend = Backend::start().await;
    let mut first = folder.host(&backend);
    let born = first.ready().await;
    assert!(born.is_new);
    // Kept before anybody is told.
    let sealed = fs::read(folder.state().join("signer.sealed")).unwrap();
    let hello = backend.hello().await;
    assert_eq!(hello.public_key, born.public_key);
    assert_eq!(hello.bridge, *protocol.bridge());
    assert_eq!(hello.name.as_str(), "operator 1");
    first.terminate().await;
    until_gone(born.enclave_pid.unwrap()).await;

    let mut second = folder.host(&backend);
    let again = second.ready().await;
    assert!(!again.is_new);
    assert_eq!(again.public_key, born.public_key);
    assert_eq!(
        fs::read(folder.state().join("signer.sealed")).unwrap(),
        sealed
    );
    second.terminate().await;
}

#[tokio::test]
async fn evidence_answers_the_challenge_and_passes_the_production_verifier() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ready,
    } = introduced().await;
    for nonce in [[1; 32], [2; 32]] {
        let evidence = backend.challenge(nonce).await;
        assert_eq!(evidence.nonce, nonce);
        let expectation = SignerExpectation {
            images: protocol.images(),
            bridge: *protocol.bridge(),
            nonce: Some(&nonce),
        };
        let now = UnixTime::from_secs(UNIX_EPOCH.elapsed().unwrap().as_secs());
        let attested = verify_signer_evidence(&evidence.document, &expectation, now).unwrap();
        assert_eq!(attested.public_key(), ready.public_key);
    }
}

#[tokio::test]
async fn every_attempt_at_what_is_refused_is_refused_afresh() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ready,
    } = introduced().await;
    let proposal = absurd_proposal(&protocol);
    // The last comes twice: a "no" is never kept.
    for number in [0, 1, 1] {
        let decided = answer(backend.ask(attempt(number), proposal.clone()).await);
        let verified = VerifiedAnswer::new(&Secp256k1::verification_only(), decided).unwrap();
        assert_eq!(verified.get().signer, ready.public_key);
        assert_eq!(verified.get().proposal, ProposalId::of(&proposal));
        assert_eq!(verified.get().attempt, attempt(number));
        assert!(matches!(&verified.get().verdict, Verdict::Refused(_)));
    }
}

/// Coins at the probe address of the operator and three others move to that address. As many as
/// there are paddings: each is made by a transaction with so many bytes besides.
fn probe(protocol: &Protocol, operator: XOnlyPublicKey, paddings: &[usize]) -> Proposal {
    let mut signers = vec![operator];
    signers.extend([1, 2, 3].map(|seed| public(&keypair(seed))));
    signers.sort_by_key(XOnlyPublicKey::serialize);
    let roster = Roster::new(Epoch(9), signers, Threshold(3)).unwrap();
    let script = ProbeTree::new(&Secp256k1::new(), &roster).script_pubkey;
    let made: Vec<Transaction> = (1..)
        .zip(paddings)
        .map(|(seed, padding)| {
            let padding = ScriptBuf::from_bytes(vec![0x6a; *padding]);
            let coin = output(50_000, script.clone());
            funding(seed, vec![coin, output(0, padding)])
        })
        .collect();
    let spent: Vec<OutPoint> = made.iter().map(|made| coin(made, 0).outpoint).collect();
    let coins = u64::try_from(paddings.len()).unwrap() * 50_000;
    let moved = transaction(&spent, vec![output(coins - 10_000, script)]);
    let action = Action::Probe(ProbeRequest { roster });
    let params = protocol.params().clone();
    let governance = protocol.governance().clone();
    Proposal::new(Epoch(9), params, governance, moved, &made, action).unwrap()
}

/// What an action is, only the policy knows: an action that neither host nor broker was written for
/// is carried, decided, signed and answered like any other, and judged and collected by the parts
/// that a backend has.
#[tokio::test]
async fn an_action_that_the_host_does_not_know_is_signed_and_answered() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ready,
    } = introduced().await;
    let secp = Secp256k1::new();
    let proposal = probe(&protocol, ready.public_key, &[0, 0]);
    let judged = judge(&secp, &proposal, protocol.bridge()).unwrap();
    let collector = Collector::new(judged.get().signing().clone()).unwrap();

    let encoded = encode_proposal(&proposal).unwrap();
    let decided = answer(backend.ask(attempt(0), encoded).await);
    let verified = VerifiedAnswer::new(&secp, decided).unwrap();
    let Verdict::Contributed(contributions) = &verified.get().verdict else {
        panic!("refused: {:?}", verified.get().verdict);
    };
    assert_eq!(contributions.len(), 2);
    let checked = collector.check(&secp, &ready.public_key, contributions);
    assert_eq!(checked.unwrap().to_bytes().len(), 2 * 64);
}

/// Hazard 25: as many bytes of previous transactions as are allowed, through broker, host and
/// enclave, and the answer back.
#[tokio::test]
async fn the_largest_proposal_is_carried_decided_and_answered() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ready,
    } = introduced().await;
    let size = |proposal: &Proposal| -> usize {
        let previous = proposal.previous.iter();
        previous.map(|previous| previous.as_bytes().len()).sum()
    };
    let mut paddings = [960_000; 13];
    let short = PREVIOUS_MAX_BYTES - size(&probe(&protocol, ready.public_key, &paddings));
    paddings[0] += short / 4;
    paddings[1] += short / 4;
    paddings[2] += short / 4;
    paddings[3] += short - 3 * (short / 4);
    let proposal = probe(&protocol, ready.public_key, &paddings);
    assert_eq!(size(&proposal), PREVIOUS_MAX_BYTES);
    let encoded = encode_proposal(&proposal).unwrap();
    assert!(encoded.len() > PREVIOUS_MAX_BYTES);
    let decided = answer(backend.ask(attempt(0), encoded).await);
    let verified = VerifiedAnswer::new(&Secp256k1::verification_only(), decided).unwrap();
    let Verdict::Contributed(contributions) = &verified.get().verdict else {
        panic!("refused: {:?}", verified.get().verdict);
    };
    assert_eq!(contributions.len(), paddings.len());
}

#[tokio::test]
async fn what_is_no_proposal_is_answered_with_a_fault() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ready,
    } = introduced().await;
    // The largest comes through as well: every message on its way has room for it.
    let largest = vec![0; PROPOSAL_MAX_BYTES];
    for malformed in [Vec::new(), vec![0xff; 1000], largest] {
        let id = ProposalId::of(&malformed);
        let fault = fault(backend.ask(attempt(3), malformed).await);
        assert_eq!((fault.proposal, fault.attempt), (id, attempt(3)));
        assert_eq!(fault.public_key, ready.public_key);
        assert_eq!(fault.code, FaultCode::ProposalMalformed);
    }
    // The same enclave still serves.
    answer(backend.ask(attempt(4), absurd_proposal(&protocol)).await);
}

#[tokio::test]
async fn messages_that_are_none_are_ignored() {
    use grail_ask::{Ask, Challenge};
    use grail_broker::{Broker, Bytes, messages::BrokerMessage};
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        host: _host,
        ..
    } = introduced().await;
    for subject in [Ask::subject(), Challenge::subject()] {
        for bytes in [&b""[..], b"\x01", b"\x02\xa0", &[0xff; 3000]] {
            let bytes = Bytes::from_static(bytes);
            backend.hub.publish(subject, bytes).await.unwrap();
        }
    }
    answer(backend.ask(attempt(1), absurd_proposal(&protocol)).await);
}

#[tokio::test]
async fn a_paused_operator_says_so_signs_nothing_and_shows_its_evidence() {
    let Introduced {
        protocol,
        folder,
        mut backend,
        host,
        ready,
    } = introduced().await;
    // What it signed before is not said again either.
    let signed = encode_proposal(&probe(&protocol, ready.public_key, &[0])).unwrap();
    answer(backend.ask(attempt(0), signed.clone()).await);
    assert_eq!(folder.command(&["pause", "--reason", "new disks"]), Some(0));
    let paused = fault(backend.ask(attempt(1), signed.clone()).await);
    assert_eq!(paused.code, FaultCode::OperatorPaused);
    assert!(paused.details.as_str().ends_with(": new disks"));
    assert_eq!(paused.public_key, ready.public_key);
    backend.challenge([1; 32]).await;

    host.terminate().await;
    let mut host = folder.host(&backend);
    host.ready().await;
    backend.hello().await;
    let paused = fault(backend.ask(attempt(2), signed.clone()).await);
    assert_eq!(paused.code, FaultCode::OperatorPaused);
    assert_eq!(folder.command(&["resume"]), Some(0));
    answer(backend.ask(attempt(3), signed).await);
    for wrong in [&["pause"][..], &["pause", "--reason", ""], &["stop"]] {
        assert_eq!(folder.command(wrong), Some(2), "{wrong:?}");
    }
}

/// A settlement of one request, told apart by `nonce`.
fn settlement(world: &World, nonce: u64, peg: &Peg) -> Vec<u8> {
    let deposits = world.deposits(nonce, std::slice::from_ref(peg));
    let case = world.case_of(deposits, &|_| {});
    encode_proposal(&case.draft.propose(world).wire()).unwrap()
}

#[tokio::test]
async fn what_leaves_within_a_day_is_limited_by_the_nfts_states() {
    // The bridge does not depend on its roster, which the operator's key is to be in.
    let paper = world();
    let protocol = Protocol::new(
        paper.bridge,
        paper.params.clone(),
        paper.images.clone(),
        grail_fixtures::world::governance(),
    )
    .unwrap();
    let folder = Folder::new(&protocol);
    let mut backend = Backend::start().await;
    let program = enclave_program().to_str().unwrap();
    let limited = [
        "--enclave-exe",
        program,
        "--daily-outflow-max-sat",
        "700000",
    ];
    let mut host = folder.host_with(&backend, &limited);
    let guest = Some(host.ready().await.public_key);
    backend.hello().await;
    let world = World::new(Setup {
        guest,
        ..Setup::default()
    });
    let is_signed = |reply| {
        let answer = answer(reply);
        assert!(
            matches!(answer.verdict, Verdict::Contributed(_)),
            "{answer:?}"
        );
    };
    // Two that spend the same state: one of them is mined at most.
    for nonce in [1, 2] {
        let proposal = settlement(&world, nonce, &peg_out(500_000));
        is_signed(backend.ask(attempt(0), proposal).await);
    }
    let more = settlement(&world, 3, &peg_out(700_001));
    let limit = fault(backend.ask(attempt(0), more).await);
    assert_eq!(limit.code, FaultCode::OperatorLimit);
    let kept = folder.state().join("outflow.json");
    let counted: serde_json::Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(counted.as_array().unwrap().len(), 1);
    assert_eq!(counted[0]["supply_sat"], world.state.supply);

    // Another 300,000 had left before.
    host.terminate().await;
    let mut before = counted;
    before[0]["supply_sat"] = (world.state.supply + 300_000).into();
    fs::write(&kept, before.to_string()).unwrap();
    let mut host = folder.host_with(&backend, &limited);
    host.ready().await;
    backend.hello().await;
    let proposal = settlement(&world, 4, &peg_out(500_000));
    let limit = fault(backend.ask(attempt(0), proposal).await);
    assert_eq!(limit.code, FaultCode::OperatorLimit);
    assert_eq!(
        limit.details.as_str(),
        "expected at most 700000 sat to leave within a day, got 800000"
    );
    // What comes in is welcome.
    let proposal = settlement(&world, 5, &peg_in(500_000));
    is_signed(backend.ask(attempt(0), proposal).await);
    // What is no settlement cannot be counted.
    let absurd = fault(backend.ask(attempt(0), absurd_proposal(&protocol)).await);
    assert_eq!(absurd.code, FaultCode::OperatorLimit);
    host.terminate().await;
    fs::write(&kept, "[").unwrap();
    assert_eq!(
        folder.host_with(&backend, &limited).end().await.code(),
        Some(4)
    );
}

#[tokio::test]
async fn a_killed_enclave_is_started_again_with_its_key() {
    let Introduced {
        protocol,
        folder: _folder,
        mut backend,
        mut host,
        ready: first,
    } = introduced().await;
    let mut pid = first.enclave_pid.unwrap();
    for _ in 0..2 {
        kill_process(pid);
        let next = host.ready().await;
        assert_eq!(next.public_key, first.public_key);
        assert!(!next.is_new);
        assert_ne!(next.enclave_pid, Some(pid));
        pid = next.enclave_pid.unwrap();
        // It introduces itself anew, on the same connection.
        assert_eq!(backend.hello().await.public_key, first.public_key);
    }
    answer(backend.ask(attempt(1), absurd_proposal(&protocol)).await);
}

#[tokio::test]
async fn a_host_outlives_the_backend_and_introduces_itself_to_the_next() {
    let Introduced {
        protocol,
        folder: _folder,
        backend,
        host: _host,
        ready,
    } = introduced().await;
    let address = backend.hub.address();
    drop(backend);
    let mut next = Backend::start_at(address).await;
    assert_eq!(next.hello().await.public_key, ready.public_key);
    answer(next.ask(attempt(1), absurd_proposal(&protocol)).await);
}

#[tokio::test]
async fn an_enclave_does_not_outlive_a_host_that_is_killed() {
    let folder = Folder::new(&protocol(Network::Regtest));
    let backend = Backend::start().await;
    let mut host = folder.host(&backend);
    let first = host.ready().await;
    host.signal(Signal::SIGKILL);
    host.end().await;
    until_gone(first.enclave_pid.unwrap()).await;
    // What a killed host leaves behind does not hinder the next.
    let mut next = folder.host(&backend);
    assert_eq!(next.ready().await.public_key, first.public_key);
}

/// The same document with another bridge or other parameters.
fn changed(
    protocol: &Protocol,
    bridge: impl FnOnce(&mut Bridge),
    params: impl FnOnce(&mut ParamsValues),
) -> Protocol {
    let mut other = *protocol.bridge();
    bridge(&mut other);
    let params = protocol.params().with(params).unwrap();
    Protocol::new(
        other,
        params,
        protocol.images().get().clone(),
        grail_fixtures::world::governance(),
    )
    .unwrap()
}

#[tokio::test]
async fn another_bridge_does_not_open_the_key_and_does_not_replace_it() {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let backend = Backend::start().await;
    let mut host = folder.host(&backend);
    let first = host.ready().await;
    host.terminate().await;
    let sealed = fs::read(folder.state().join("signer.sealed")).unwrap();

    let other = changed(&protocol, |bridge| bridge.app.identity[0] ^= 1, |_| {});
    folder.write_protocol(&other);
    assert_eq!(folder.host(&backend).end().await.code(), Some(5));
    assert_eq!(
        fs::read(folder.state().join("signer.sealed")).unwrap(),
        sealed
    );

    let other = changed(
        &protocol,
        |_| {},
        |values| values.deposit_confirmations += 1,
    );
    folder.write_protocol(&other);
    let mut host = folder.host(&backend);
    assert_eq!(host.ready().await.public_key, first.public_key);
}

#[tokio::test]
async fn a_damaged_or_missing_sealed_key_is_never_replaced_by_a_new_one() {
    let folder = Folder::new(&protocol(Network::Regtest));
    let backend = Backend::start().await;
    let mut host = folder.host(&backend);
    host.ready().await;
    host.terminate().await;
    let path = folder.state().join("signer.sealed");
    let mut sealed = fs::read(&path).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    fs::write(&path, &sealed).unwrap();
    assert_eq!(folder.host(&backend).end().await.code(), Some(5));
    assert_eq!(fs::read(&path).unwrap(), sealed);
    fs::write(&path, b"").unwrap();
    assert_eq!(folder.host(&backend).end().await.code(), Some(4));
    fs::remove_file(&path).unwrap();
    assert_eq!(folder.host(&backend).end().await.code(), Some(4));
    assert!(!path.exists());
}

#[tokio::test]
async fn i11_no_operator_starts_under_the_development_tee_off_regtest() {
    let backend = Backend::start().await;
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let folder = Folder::new(&protocol(network));
        assert_eq!(folder.host(&backend).end().await.code(), Some(5));
        assert!(!folder.state().join("signer.sealed").exists());
    }
}

#[tokio::test]
async fn a_file_that_is_no_protocol_is_refused() {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let backend = Backend::start().await;
    let json = || serde_json::to_value(&protocol).unwrap();
    let mut unknown_field = json();
    unknown_field["params"]["extra"] = 1.into();
    let mut invalid = json();
    invalid["params"]["carrier"] = 1.into();
    let mut other_images = json();
    other_images["images"]["images"][0]["class"] = "migratable".into();
    let texts = [
        String::new(),
        "{}".to_owned(),
        unknown_field.to_string(),
        invalid.to_string(),
        other_images.to_string(),
        " ".repeat(1024 * 1024) + &json().to_string(),
    ];
    for text in texts {
        fs::write(folder.protocol(), text).unwrap();
        assert_eq!(folder.host(&backend).end().await.code(), Some(3));
    }
    fs::remove_file(folder.protocol()).unwrap();
    assert_eq!(folder.host(&backend).end().await.code(), Some(3));
}

#[tokio::test]
async fn one_folder_serves_one_host() {
    let folder = Folder::new(&protocol(Network::Regtest));
    let backend = Backend::start().await;
    let mut first = folder.host(&backend);
    first.ready().await;
    assert_eq!(folder.host(&backend).end().await.code(), Some(4));
    first.terminate().await;
}

#[tokio::test]
async fn an_enclave_that_runs_already_is_used_and_an_unknown_key_in_it_is_not() {
    let folder = Folder::new(&protocol(Network::Regtest));
    let backend = Backend::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let hardware = elsewhere.path().join("hardware.id");
    fs::write(&hardware, [7; 32]).unwrap();
    let address = format!("unix:{}", elsewhere.path().join("s").display());
    let _enclave = tokio::process::Command::new(enclave_program())
        .args(["--listen", &address, "--tee", "development"])
        .args(["--network", "regtest", "--hardware"])
        .arg(&hardware)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let arguments = ["--enclave", address.as_str()];
    let mut first = folder.host_with(&backend, &arguments);
    let born = first.ready().await;
    assert!(born.is_new);
    assert_eq!(born.enclave_pid, None);
    first.terminate().await;

    // The enclave outlived its host.
    let mut second = folder.host_with(&backend, &arguments);
    assert_eq!(second.ready().await.public_key, born.public_key);
    second.terminate().await;

    let stranger = Folder::new(&protocol(Network::Regtest));
    let mut third = stranger.host_with(&backend, &arguments);
    assert_eq!(third.end().await.code(), Some(5));
    assert!(!stranger.state().join("signer.pub").exists());
}

#[tokio::test]
async fn an_enclave_program_that_is_missing_is_an_error() {
    let folder = Folder::new(&protocol(Network::Regtest));
    let backend = Backend::start().await;
    let mut host = folder.host_with(&backend, &["--enclave-exe", "/nowhere/grail-enclave"]);
    assert_eq!(host.end().await.code(), Some(5));
}

#[tokio::test]
async fn options_come_from_variables_and_empty_ones_are_none() {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let mut backend = Backend::start().await;
    let (mut host, mut log) = folder.host_by_variables(&backend);
    assert!(host.ready().await.is_new);
    backend.hello().await;
    host.terminate().await;
    // At the usual level: an empty one would be silence.
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("ended as asked"), "{text}");
}

#[tokio::test]
async fn a_service_manager_hears_when_the_enclave_is_booted() {
    let protocol = protocol(Network::Regtest);
    let folder = Folder::new(&protocol);
    let socket = folder.protocol().with_file_name("notify");
    let heard = UnixDatagram::bind(&socket).unwrap();
    let backend = Backend::start().await;
    let mut host = folder.host_told(&backend, &[("NOTIFY_SOCKET", socket.to_str().unwrap())]);
    host.ready().await;
    let mut bytes = [0; 64];
    let length = timeout(DEADLINE, heard.recv(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert!(bytes[..length].starts_with(b"READY=1"));
    host.terminate().await;
}
