//! The roster changes: announced and taken back, tried without consent, done with pegs under way.

use anyhow::{Context, Result, ensure};
use bitcoin::{Amount, OutPoint, XOnlyPublicKey};
use grail_api::{HoldingRoster, Kind, ProblemCode, RotationStage, Settlement};
use grail_testkit::hostile::{HandOver, HostileBackend, OwnSponsors};
use grail_testkit::{Administrators, Asked, Pegged, RotationFile, User};
use grail_types::Threshold;

use crate::outages::signed_count;
use crate::story::{BACKEND, Story};

/// Administrators of the bridge, one of each operator.
pub const ADMINISTRATORS: u16 = 16;
/// So many must agree: no smaller a share than 13 of the 17 signers to come.
pub const ADMINISTRATORS_THRESHOLD: u16 = 13;
/// So many take an announcement back: those left are too few to announce.
const TAKE_BACK: u16 = ADMINISTRATORS - ADMINISTRATORS_THRESHOLD + 1;
/// One too few.
const TOO_FEW: u16 = ADMINISTRATORS_THRESHOLD - 1;
/// Operators that come, and of the first that go.
const COMING: usize = 3;
const LEAVING: usize = 2;
/// Signers to come that must agree.
const THRESHOLD_TO_COME: Threshold = Threshold(13);
/// What a sponsor pays: the least deposit that the bridge takes.
const SPONSORED: Amount = Amount::from_sat(20_000);
/// What is paid to an address of the roster that has gone.
const LATE: Amount = Amount::from_sat(450_000);

/// All of it.
pub fn tell(story: &mut Story<'_>) -> Result<()> {
    let stale = taken_back(story)?;
    let short = tried(story, &stale)?;
    let late = User::new("grace");
    let asked = late.ask_peg_in(&story.cluster.api())?;
    handed_over(story, &short)?;
    old_address(story, &late, &asked)
}

/// Announced by consent, taken back, and the consent is used up: the document.
fn taken_back(story: &mut Story<'_>) -> Result<RotationFile> {
    story
        .report
        .chapter("9. A rotation is announced, and taken back");
    story.report.doing("operators start");
    let before = story.cluster.operators.len();
    let added = story.cluster.add_operators(COMING)?;
    administrators(story).until_candidates(&added)?;
    story.report.done(&format!(
        "{} start and attest; no roster has them yet",
        names(story, before, COMING)
    ));
    let short = propose(story, "first")?;
    let (tool, api) = (
        administrators(story).send_refused(&short)?,
        administrators(story).api_refuses(&short)?.code,
    );
    ensure!(
        tool == "consent-too-few" && api == ProblemCode::NotConsented,
        "{TOO_FEW} signatures: the tool says {tool}, the API {api}"
    );
    story.report.done(&format!(
        "{} of {ADMINISTRATORS} administrators sign: refused by the tool ({tool}) and the API ({api})",
        short.told["approvals"]
    ));
    let signed = administrators(story).approve(&short, TOO_FEW..ADMINISTRATORS_THRESHOLD)?;
    announce(story, &signed, "alice")?;

    let cancel = administrators(story).cancel("cancel")?;
    let cancel = administrators(story).approve(&cancel, 0..TAKE_BACK)?;
    administrators(story).send(&cancel)?;
    let cancellation = publish_step(story, "bob", "cancel")?;
    story.cluster.node.mine(1);
    let told = administrators(story).until_stage(RotationStage::Cancelled)?;
    let who = format!(
        "{} administrators take it back",
        told.cancel_approvals.unwrap_or_default()
    );
    show_step(story, &who, &cancellation);
    let refused = administrators(story).api_refuses(&signed)?;
    ensure!(
        refused.code == ProblemCode::ForeignRotation,
        "signatures that are used up: {} {}",
        refused.code,
        refused.detail
    );
    story.report.done(&format!(
        "the same signatures again: refused, {}: {}",
        refused.code, refused.detail
    ));
    story.balance_books()?;
    Ok(signed)
}

/// What a hostile backend asks the operators, with what administrators have signed. `stale` is used
/// up; a new proposal that too few have signed is returned.
fn tried(story: &mut Story<'_>, stale: &RotationFile) -> Result<RotationFile> {
    story
        .report
        .chapter("10. A hostile backend would hand the bridge over");
    let short = propose(story, "second")?;
    story.cluster.backend.stop()?;
    let deployment = &story.cluster.deployment;
    let sponsors = OwnSponsors::fund(&story.cluster.node, deployment, &User::new("thief"))?;
    story.cluster.node.mine(1);
    story.report.doing("operators connect");
    let connected = story.cluster.operators.len();
    let hostile = HostileBackend::listen(story.cluster.backend.broker(), connected)?;

    let ledger = story.cluster.ledger()?;
    let audit = ledger.audit(deployment)?;
    let hand_over = HandOver {
        ledger: &ledger,
        audit: &audit,
        deployment,
        sponsors: &sponsors,
        short: short.read()?,
        stale: stale.read()?,
    };
    let all = deployment.roster.signers().len();
    for attack in hand_over.attacks()? {
        hostile.attempt(&attack, &deployment.roster, all)?;
        let contract = attack.contract_code.map_or_else(
            || "the contract alone would let it pass".to_owned(),
            |code| format!("and by the contract, {code}"),
        );
        story.report.done(&format!(
            "{}: refused by {all} of {all} with {} ({contract})",
            attack.what, attack.code
        ));
    }
    let rule = hand_over.adoption_refuses()?;
    story.report.done(&format!(
        "a hand-over from that state, shown as evidence of a new roster: not believed, {rule}"
    ));
    drop(hostile);
    story.cluster.start_backend(&BACKEND)?;
    story.balance_books()?;
    Ok(short)
}

/// Announced, waited for and executed, with pegs under way all the while.
fn handed_over(story: &mut Story<'_>, short: &RotationFile) -> Result<()> {
    story
        .report
        .chapter("11. Two operators are replaced and one joins: 12 of 16 becomes 13 of 17");
    let signed = administrators(story).approve(short, TOO_FEW..ADMINISTRATORS_THRESHOLD)?;
    let (began, height) = (story.report.elapsed(), story.cluster.node.height());
    let blocks_left = announce(story, &signed, "carol")?;
    let paid = sponsor(story, "dave", "execute")?;
    // The pegs' deposits are confirmed one block before the wait is over.
    story.cluster.node.mine(blocks_left.saturating_sub(2));
    let pegged = story.peg(&[
        ("alice", Kind::PegIn, 900_000),
        ("bob", Kind::PegOut, 700_000),
        ("erin", Kind::PegIn, 800_000),
    ])?;
    let pegs = story.publish_in_one(&pegged)?;
    story.report.done(&format!(
        "{} are under way in {}, which is in no block yet",
        pegged.len(),
        pegs.txid
    ));
    // The last block of the wait leaves them waiting.
    story.cluster.node.mine_empty();
    story.report.doing("operators decide");
    let execution = story.cluster.until_published(paid.kind, &paid.id)?;
    let built_on = execution.inputs.first().map(|input| input.outpoint);
    ensure!(
        built_on == Some(OutPoint::new(pegs.txid, 0)),
        "the hand-over is not built on the pegs' settlement"
    );
    let block = story.cluster.node.mine(1);
    let block = block.first().context("a block")?;
    let mined = story.cluster.node.block(block).txdata;
    let holds = |txid| mined.iter().any(|it| it.compute_txid() == txid);
    ensure!(
        holds(pegs.txid) && holds(execution.txid),
        "one block does not hold both"
    );
    let took = story.report.elapsed().saturating_sub(began);
    let blocks = story.cluster.node.height().saturating_sub(height);
    let confirmations = story.cluster.params().settlement_confirmations;
    story.cluster.node.mine(confirmations.saturating_sub(1));
    administrators(story).until_stage(RotationStage::Executed)?;
    show_step(story, "handed over, on top of that,", &execution);
    for one in &pegged {
        story.paid(one)?;
    }
    story.report.done(&format!(
        "one block holds both, and {} pegs are paid; from the consent handed in to that block: \
         {:.1} s, {blocks} blocks",
        pegged.len(),
        took.as_secs_f64()
    ));
    new_roster(story)?;
    story.balance_books()
}

/// The new roster holds the bridge, and serves without those that left.
fn new_roster(story: &mut Story<'_>) -> Result<()> {
    let left = leaving(story)?;
    let names = names(story, 0, LEAVING);
    for operator in story.cluster.operators.iter_mut().take(LEAVING) {
        operator.stop();
    }
    let roster = story.cluster.api().roster()?;
    let keys: Vec<_> = roster.signers.iter().map(|it| it.public_key).collect();
    ensure!(
        roster.threshold == THRESHOLD_TO_COME && !left.iter().any(|key| keys.contains(key)),
        "another roster than was announced"
    );
    story.report.done(&format!(
        "epoch {}: {} of {} must agree; {names} are gone, and switched off",
        roster.epoch,
        roster.threshold.0,
        keys.len()
    ));
    let pegged = story.peg(&[("frank", Kind::PegIn, 650_000)])?;
    let settlement = story.settle_in_one(&pegged)?;
    let signed = signed_count(&settlement);
    ensure!(
        settlement.epoch == roster.epoch && signed >= usize::from(THRESHOLD_TO_COME.0),
        "epoch {}, signed by {signed}",
        settlement.epoch
    );
    story.show(&settlement);
    Ok(())
}

/// An address of the first roster is paid after it has handed over.
fn old_address(story: &Story<'_>, late: &User, asked: &Asked) -> Result<()> {
    story
        .report
        .chapter("12. grace pays to an address that she got before the rotation");
    let cluster = &story.cluster;
    cluster.node.fund(&asked.deposit_script, LATE);
    cluster.node.mine(1);
    let told = cluster.until("the former roster to be asked", || {
        let told = cluster.request(Kind::PegIn, &asked.id)?;
        let is_asked = told.holding_roster == Some(HoldingRoster::Former);
        Ok(is_asked.then_some(told))
    })?;
    story.report.done(&format!(
        "{} sat reach it, {}: epoch {} of the roster that has handed over",
        LATE.to_sat(),
        told.state,
        asked.terms().epoch
    ));
    let settled = cluster.until_published(Kind::PegIn, &asked.id)?;
    ensure!(
        settled.former_epoch == Some(asked.terms().epoch),
        "settled for epoch {:?}",
        settled.former_epoch
    );
    cluster.settle(Kind::PegIn, &[asked.id])?;
    let ledger = cluster.ledger()?;
    let got: u64 = late.tokens(&ledger, cluster.bridge())?.values().sum();
    ensure!(
        got < LATE.to_sat() && got + 10_000 > LATE.to_sat(),
        "grace deposited {LATE} and has {got} sat of zkBTC"
    );
    story.show(&settled);
    story.report.done(&format!(
        "signed by quorums of both rosters: grace has {got} sat of zkBTC"
    ));
    story.balance_books()
}

/// 13 of 17, signed by one administrator too few.
fn propose(story: &Story<'_>, name: &str) -> Result<RotationFile> {
    story.report.doing("administrators sign");
    let leaving = leaving(story)?;
    let proposal = administrators(story).propose(name, &leaving, THRESHOLD_TO_COME, &[])?;
    let to_come = &proposal.told["roster"];
    let count = |list: &str| to_come[list].as_array().map_or(0, Vec::len);
    story.report.done(&format!(
        "proposed: {} of {} signers, {} of them new, {} leave; {} blocks of notice",
        to_come["threshold"],
        count("signers"),
        count("new_keys"),
        count("leaving_keys"),
        proposal.told["wait_blocks"],
    ));
    administrators(story).approve(&proposal, 0..TOO_FEW)
}

/// Hands a proposal in and has it announced, paid by a user: blocks until it may be executed.
fn announce(story: &mut Story<'_>, signed: &RotationFile, payer: &str) -> Result<u32> {
    administrators(story).send(signed)?;
    let announcement = publish_step(story, payer, "announce")?;
    story.cluster.node.mine(1);
    let told = administrators(story).until_stage(RotationStage::Announced)?;
    let who = format!("{} administrators consent: announced", told.approvals);
    show_step(story, &who, &announcement);
    told.blocks_left.context("a wait")
}

/// A user pays for a step. Waits until the step is published.
fn publish_step(story: &mut Story<'_>, payer: &str, step: &str) -> Result<Settlement> {
    let paid = sponsor(story, payer, step)?;
    story.cluster.node.mine(1);
    story.report.doing("operators decide");
    story.cluster.until_published(paid.kind, &paid.id)
}

fn sponsor(story: &mut Story<'_>, payer: &str, step: &str) -> Result<Pegged> {
    let paid = story.user(payer)?.sponsor(step, SPONSORED)?;
    story
        .sponsors
        .insert(paid.deposit_outpoint, payer.to_owned());
    Ok(paid)
}

fn show_step(story: &Story<'_>, what: &str, step: &Settlement) {
    let inputs = step.inputs.iter();
    let paid: Vec<_> = inputs
        .filter_map(|input| story.sponsors.get(&input.outpoint))
        .map(String::as_str)
        .collect();
    story.report.done(&format!(
        "{what} in {}: {} vB, fee {} sat, paid by {}, signed by {}",
        step.txid,
        step.vsize,
        step.fee_sat,
        paid.join(", "),
        signed_count(step)
    ));
}

fn administrators<'a>(story: &'a Story<'_>) -> Administrators<'a> {
    Administrators::of(&story.cluster)
}

/// The keys of those that are replaced.
fn leaving(story: &Story<'_>) -> Result<Vec<XOnlyPublicKey>> {
    let operators = story.cluster.operators.iter().take(LEAVING);
    let keys = operators.map(|it| it.public_key().context("an operator without a key"));
    keys.collect()
}

fn names(story: &Story<'_>, from: usize, count: usize) -> String {
    let operators = story.cluster.operators.iter().skip(from).take(count);
    let names: Vec<_> = operators.map(|it| it.name().to_owned()).collect();
    names.join(", ")
}
