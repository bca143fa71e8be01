//! Operators that are gone, and a backend that is not to be trusted.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitcoin::Amount;
use grail_api::{Kind, Settlement, SettlementState, SignerOutcome};
use grail_testkit::hostile::{Draft, HostileBackend, attacks, refusal_on};
use grail_testkit::{Asked, User};
use grail_types::Network;
use grail_wire::{RefusalCode, Verdict};

use crate::story::{BACKEND, Story};

/// How long a settlement without a quorum is watched: several rounds of asking.
const WATCHED: Duration = Duration::from_secs(5);

/// Operators whose signatures verified.
pub fn signed_count(settlement: &Settlement) -> usize {
    settlement
        .signers
        .iter()
        .filter(|signer| signer.outcome == SignerOutcome::Signed)
        .count()
}

/// Four operators stopped and the job still done; a fifth stopped and it waits, then goes on when
/// one returns.
pub fn four_and_five(story: &mut Story<'_>) -> Result<()> {
    story.report.chapter("7. Operators fail");
    for operator in story.cluster.operators.iter_mut().take(4) {
        operator.kill();
    }
    story.report.done("four operators killed");
    let pegged = story.peg(&[("frank", Kind::PegIn, 700_000)])?;
    let settlement = story.settle_in_one(&pegged)?;
    ensure!(
        signed_count(&settlement) == 12,
        "{} signed",
        signed_count(&settlement)
    );
    story.show(&settlement);

    let fifth = story.cluster.operators.get_mut(4).context("a fifth")?;
    fifth.kill();
    story.report.done("a fifth killed: eleven are left");
    let pegged = story.peg(&[("frank", Kind::PegIn, 800_000)])?;
    story.report.doing("it waits");
    let waiting = story.cluster.until("eleven signatures", || {
        let newest = story.cluster.settlements()?.into_iter().next();
        Ok(newest.filter(|it| it.state == SettlementState::Signing && signed_count(it) == 11))
    })?;
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        let now = story.cluster.api().settlement(&waiting.txid)?;
        ensure!(
            now.state == SettlementState::Signing,
            "a settlement without a quorum is {}",
            now.state
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    story
        .report
        .done(&format!("{} has 11 signatures and waits", waiting.txid));
    story.cluster.start_operator(4)?;
    let settlement = story.settle_in_one(&pegged)?;
    story.report.done("one operator returns");
    story.show(&settlement);
    for index in 0..4 {
        story.cluster.start_operator(index)?;
    }
    story
        .report
        .done("all sixteen are back, with the keys that they had");
    Ok(())
}

/// A hostile backend against the real operators.
pub fn hostile(story: &mut Story<'_>) -> Result<()> {
    story
        .report
        .chapter("8. A hostile backend asks the real operators");
    let pegged = story.send_deposits(&[
        ("alice", Kind::PegOut, 900_000),
        ("bob", Kind::PegIn, 1_200_000),
        ("carol", Kind::PegIn, 1_100_000),
    ])?;
    let asked = pegged
        .iter()
        .map(|one| {
            let status = story.cluster.request(one.kind, &one.id)?;
            Asked::of_receipt(status.receipt)
        })
        .collect::<Result<Vec<_>>>()?;
    story.cluster.backend.stop()?;
    let thief = User::new("thief");
    let own = story
        .cluster
        .node
        .fund(&thief.script(), Amount::from_sat(5_000_000));
    story.cluster.node.mine(1);

    story.report.doing("operators connect");
    let roster = story.cluster.deployment.roster.clone();
    let all = story.cluster.operators.len();
    let hostile = HostileBackend::listen(story.cluster.backend.broker(), all)?;
    story
        .report
        .done("the honest backend is gone, a hostile one sits in its place");

    let ledger = story.cluster.ledger()?;
    let audit = ledger.audit(&story.cluster.deployment)?;
    let honest = Draft::honest(&ledger, &audit, &story.cluster.deployment, &asked)?;
    let proposal = honest.propose()?;
    let verdicts = hostile.ask(&proposal, &roster, all)?;
    ensure!(
        verdicts
            .values()
            .all(|verdict| matches!(verdict, Verdict::Contributed(_))),
        "an honest settlement is refused: {verdicts:?}"
    );
    let refused = honest.contract_refuses()?;
    ensure!(
        refused.is_none(),
        "the contract refuses an honest settlement: {refused:?}"
    );
    story.report.done(&format!(
        "an honest settlement, for comparison: {all} of {all} sign"
    ));
    for attack in attacks(&honest, &ledger, own, &thief.script())? {
        hostile.attempt(&attack, &roster, all)?;
        let proof = attack.contract_code.map_or_else(String::new, |code| {
            format!(" (and by the contract, {code})")
        });
        story.report.done(&format!(
            "{}: refused by {all} of {all} with {}{proof}",
            attack.what, attack.code
        ));
    }
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let code = refusal_on(network, story.cluster.protocol(), &proposal)?;
        ensure!(
            code == RefusalCode::MockSpell,
            "{network} refuses with {code}"
        );
        refuses_development(story, network)?;
        story.report.done(&format!(
            "a mock spell on {network}: refused, {code}; and no development enclave starts there"
        ));
    }
    drop(hostile);

    story.cluster.start_backend(&BACKEND)?;
    let settlement = story.settle_in_one(&pegged)?;
    story
        .report
        .done("the honest backend returns, and the users get theirs");
    story.show(&settlement);
    Ok(())
}

/// The enclave's program does not start under the development TEE on `network`.
fn refuses_development(story: &Story<'_>, network: Network) -> Result<()> {
    let folder = story.cluster.folder();
    let hardware = folder.join("hardware.id");
    std::fs::write(&hardware, [1; 32])?;
    let ended = Command::new(story.cluster.programs.enclave())
        .arg("--listen")
        .arg(format!("unix:{}", folder.join("enclave.sock").display()))
        .args(["--tee", "development", "--network", &network.to_string()])
        .arg("--hardware")
        .arg(&hardware)
        .output()?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(3) && words.contains("runs on regtest alone"),
        "a development enclave on {network}: {} {words}",
        ended.status
    );
    Ok(())
}
