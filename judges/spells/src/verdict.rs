//! Two readings of one transaction held against each other.
//!
//! Owns what counts as agreement: the same verdict, and where both accept the same resolved spell
//! with the same charms on every output. Every disagreement that is allowed has a name in
//! [`Difference`] and a condition of its own; all others end in a failure that shows the
//! transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use grail_charms::{PrevTx, read_compatible};
use grail_spell::{
    EnvelopeError, ProofError, SpellError, SpellShapeError, UnverifiedSpell, VerifiedSpell,
    find_spell, read_strict,
};
use grail_types::{MockAllowed, Network};

use crate::mutation::Base;
use crate::{charms_reading, to_charms};

/// A mock proof in full: what is longer has bytes after it.
const MOCK_PROOF_BYTES: usize = 192;
/// The longest payload that `grail-spell` decodes.
const PAYLOAD_MAX_BYTES: usize = 400_000;
/// Without witnesses, the largest transaction that `grail-spell` looks at.
const TRANSACTION_MAX_BYTES: usize = 1_000_000;
/// One spell in so many that are no mocks is also read with mocks allowed, which must change
/// nothing.
const MOCK_MODE_EVERY: usize = 16;
/// Failures that are shown in full.
const SHOWN_MAX: usize = 5;

/// A disagreement that `read_compatible` documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Upstream computes the pairing of a mock proof and ignores the answer.
    MockProofFalse,
    /// Upstream ignores bytes after a mock proof.
    MockProofTrailing,
    /// A charm of an app that the spell does not list: upstream accepts the spell, and panics when
    /// it is spent.
    AppIndex,
    /// A payload longer than any transaction that relays.
    PayloadTooLong,
    /// A transaction larger than any that a block can hold.
    TransactionTooLarge,
    /// Upstream panicked where Grail refuses.
    UpstreamPanics,
}

/// What became of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    BothAccept,
    BothRefuse,
    Allowed(Difference),
}

/// What upstream did.
enum Theirs {
    Accepts(Box<charms_client::NormalizedSpell>),
    Refuses(String),
    Panics,
}

/// Counts of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Transactions that were changed.
    pub vectors: usize,
    /// Transactions read, each at least once.
    pub mutants: usize,
    /// Changes after which no transaction was left, or the same one.
    pub skipped: usize,
    /// Readings: more than mutants, since some are read with mocks allowed too.
    pub readings: usize,
    /// Both accept, and resolve the same spell.
    pub both_accept: usize,
    /// Both refuse.
    pub both_refuse: usize,
    /// Accepted by the strict reading too.
    pub strict: usize,
    /// Allowed disagreements.
    pub allowed: BTreeMap<Difference, usize>,
    failures: Vec<String>,
    ours: Duration,
    theirs: Duration,
}

impl Tally {
    /// Prints itself under `title`.
    ///
    /// # Panics
    /// When there was a disagreement that is not allowed.
    pub fn report(&self, title: &str) {
        println!("{title}: {self}");
        assert!(
            self.failures.is_empty(),
            "{} disagreements; the first:\n{}",
            self.failures.len(),
            self.failures[..self.failures.len().min(SHOWN_MAX)].join("\n")
        );
        let sum = self.both_accept + self.both_refuse + self.allowed.values().sum::<usize>();
        assert_eq!(self.readings, sum, "every reading has one outcome");
    }

    /// Allowed disagreements of one kind.
    pub fn allowed(&self, difference: Difference) -> usize {
        self.allowed.get(&difference).copied().unwrap_or(0)
    }

    /// Takes out what disagreed so far.
    pub fn take_failures(&mut self) -> Vec<String> {
        std::mem::take(&mut self.failures)
    }

    fn add(&mut self, other: Self) {
        self.mutants += other.mutants;
        self.skipped += other.skipped;
        self.readings += other.readings;
        self.both_accept += other.both_accept;
        self.both_refuse += other.both_refuse;
        self.strict += other.strict;
        for (difference, count) in other.allowed {
            *self.allowed.entry(difference).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.ours += other.ours;
        self.theirs += other.theirs;
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::BothAccept => self.both_accept += 1,
            Outcome::BothRefuse => self.both_refuse += 1,
            Outcome::Allowed(difference) => *self.allowed.entry(difference).or_default() += 1,
        }
    }

    /// Reads `tx` both ways and counts what came of it.
    pub fn judge(&mut self, name: &str, tx: &Transaction) {
        self.mutants += 1;
        let found = find_spell(tx).ok().flatten();
        // What Grail cannot decode may still be a mock to Charms.
        let maybe_mock = found.as_ref().is_none_or(|found| found.spell.mock);
        self.judge_in(None, name, tx, found.as_ref());
        if maybe_mock || self.mutants.is_multiple_of(MOCK_MODE_EVERY) {
            let mock = MockAllowed::on(Network::Regtest);
            self.judge_in(mock, name, tx, found.as_ref());
        }
    }

    fn judge_in(
        &mut self,
        mock: Option<MockAllowed>,
        name: &str,
        tx: &Transaction,
        found: Option<&UnverifiedSpell>,
    ) {
        self.readings += 1;
        let start = Instant::now();
        let ours = read_compatible(tx, mock);
        let read = Instant::now();
        let theirs = match catch_unwind(AssertUnwindSafe(|| charms_reading(tx, mock.is_some()))) {
            Ok(Ok(spell)) => Theirs::Accepts(Box::new(spell)),
            Ok(Err(error)) => Theirs::Refuses(error),
            Err(_) => Theirs::Panics,
        };
        self.ours += read - start;
        self.theirs += read.elapsed();
        let outcome = outcome(&ours, &theirs, found, tx, mock)
            .and_then(|outcome| consistent(&ours, tx, mock).map(|strict| (outcome, strict)));
        match outcome {
            Ok((outcome, strict)) => {
                self.count(outcome);
                self.strict += usize::from(strict);
            }
            Err(why) => self.failures.push(format!(
                "{name} (mocks {}): {why}\n  ours: {ours:?}\n  theirs: {theirs}\n  {}",
                if mock.is_some() { "allowed" } else { "refused" },
                serialize_hex(tx)
            )),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut allowed = String::new();
        for (difference, count) in &self.allowed {
            write!(allowed, " {difference:?} {count}")?;
        }
        let per_reading = |spent: Duration| {
            spent.as_secs_f64() * 1_000.0
                / u32::try_from(self.readings.max(1)).map_or(1.0, f64::from)
        };
        write!(
            formatter,
            "vectors: {}, mutants: {}, not parsed or unchanged: {}, readings: {}, both accept: {}, both refuse: {}, \
             strict accepts: {}, allowed differences:{}; {:.2} ms ours, {:.2} ms theirs",
            self.vectors,
            self.mutants,
            self.skipped,
            self.readings,
            self.both_accept,
            self.both_refuse,
            self.strict,
            if allowed.is_empty() {
                " none"
            } else {
                &allowed
            },
            per_reading(self.ours),
            per_reading(self.theirs),
        )
    }
}

impl fmt::Display for Theirs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepts(spell) => write!(formatter, "accepts {spell:?}"),
            Self::Refuses(error) => write!(formatter, "refuses: {error}"),
            Self::Panics => formatter.write_str("panics"),
        }
    }
}

fn outcome(
    ours: &Result<Option<VerifiedSpell>, SpellError>,
    theirs: &Theirs,
    found: Option<&UnverifiedSpell>,
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<Outcome, String> {
    match (ours, theirs) {
        (Ok(Some(ours)), Theirs::Accepts(theirs)) => {
            same_spell(ours, theirs, tx)?;
            Ok(Outcome::BothAccept)
        }
        (Ok(None) | Err(_), Theirs::Refuses(_)) => Ok(Outcome::BothRefuse),
        (Ok(None) | Err(_), Theirs::Panics) => Ok(Outcome::Allowed(Difference::UpstreamPanics)),
        (Err(error), Theirs::Accepts(theirs)) => {
            let difference = documented(error, found, tx, mock).ok_or("Grail alone refuses")?;
            resolves_the_same(difference, theirs, found, tx)?;
            Ok(Outcome::Allowed(difference))
        }
        (Ok(None), Theirs::Accepts(_)) => Err("Grail sees no spell".into()),
        (Ok(Some(_)), _) => Err("Grail alone accepts".into()),
    }
}

fn same_spell(
    ours: &VerifiedSpell,
    theirs: &charms_client::NormalizedSpell,
    tx: &Transaction,
) -> Result<(), String> {
    if to_charms(ours.spell()) != *theirs {
        return Err("the resolved spells differ".into());
    }
    for (vout, charms) in (0..).zip(&theirs.tx.outs) {
        if ours.charms_at(vout) != charms_client::charms(theirs, charms) {
            return Err(format!("the charms of output {vout} differ"));
        }
    }
    for vout in theirs.tx.outs.len()..=tx.output.len() {
        let vout = u32::try_from(vout).expect("few outputs");
        if !ours.charms_at(vout).is_empty() {
            return Err(format!("output {vout} has charms past the spell's"));
        }
    }
    Ok(())
}

/// The documented difference that explains why Grail alone refuses: each has its own condition on
/// the transaction, so that an error cannot excuse itself.
fn documented(
    error: &SpellError,
    found: Option<&UnverifiedSpell>,
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Option<Difference> {
    if matches!(
        error,
        SpellError::Envelope(EnvelopeError::PayloadTooLong { .. })
    ) {
        let longest = Base::new("", tx.clone()).carried?.payload.len();
        return (longest > PAYLOAD_MAX_BYTES).then_some(Difference::PayloadTooLong);
    }
    if matches!(
        error,
        SpellError::Envelope(EnvelopeError::TransactionTooLarge { .. })
    ) {
        return (tx.base_size() > TRANSACTION_MAX_BYTES).then_some(Difference::TransactionTooLarge);
    }
    let UnverifiedSpell { spell, proof, .. } = found?;
    let is_mock = spell.mock && mock.is_some();
    match error {
        SpellError::Proof(ProofError::MockFalse) if is_mock && proof.len() == MOCK_PROOF_BYTES => {
            Some(Difference::MockProofFalse)
        }
        SpellError::Proof(ProofError::MockPoint) if is_mock && proof.len() > MOCK_PROOF_BYTES => {
            Some(Difference::MockProofTrailing)
        }
        SpellError::Shape(SpellShapeError::AppIndex { .. }) => {
            let apps = spell.app_public_inputs.len();
            let mut indexes = spell.tx.outs.iter().flat_map(|charms| charms.keys());
            indexes
                .any(|index| usize::try_from(*index).is_ok_and(|index| index >= apps))
                .then_some(Difference::AppIndex)
        }
        _ => None,
    }
}

/// Also what only upstream accepts must be resolved as Grail would.
fn resolves_the_same(
    difference: Difference,
    theirs: &charms_client::NormalizedSpell,
    found: Option<&UnverifiedSpell>,
    tx: &Transaction,
) -> Result<(), String> {
    let Some(found) = found.filter(|_| difference != Difference::PayloadTooLong) else {
        return Ok(());
    };
    match found.spell.clone().committed_to(tx) {
        Ok(spell) if to_charms(&spell) == *theirs => Ok(()),
        Ok(_) => Err(format!(
            "allowed ({difference:?}), but the resolved spells differ"
        )),
        Err(error) => Err(format!("allowed ({difference:?}), but misfit: {error}")),
    }
}

/// Grail's readings among themselves: what the strict one accepts the compatible one accepts too,
/// with the same spell, and a previous transaction is read like any other. Says whether the strict
/// one accepts.
fn consistent(
    ours: &Result<Option<VerifiedSpell>, SpellError>,
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<bool, String> {
    let strict = read_strict(tx, mock);
    match (&strict, ours) {
        (Ok(strict), Ok(Some(ours)))
            if strict.spell() == ours.spell() && strict.place() == ours.place() => {}
        (Ok(_), _) => return Err("the strict reading accepts something else".into()),
        (Err(_), _) => {}
    }
    // Read again only when cheap: acceptance is rare.
    if ours.is_ok() {
        let prev = PrevTx::read(tx.clone(), mock);
        if prev.spell() != ours.as_ref().ok().and_then(Option::as_ref) {
            return Err("a previous transaction is read otherwise".into());
        }
    }
    Ok(strict.is_ok())
}

/// Makes and judges the changed transactions of `jobs` on every core. `make` gives `None` where no
/// other transaction comes of a job.
///
/// # Panics
/// When `make` does.
pub fn judge_all<J: Send + Sync>(
    jobs: &[J],
    make: impl Fn(&J) -> Option<(String, Transaction)> + Sync,
) -> Tally {
    let next = Mutex::new(0_usize);
    let total = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut tally = Tally::default();
                while let Some(job) = take(&next, jobs) {
                    match make(job) {
                        Some((name, tx)) => tally.judge(&name, &tx),
                        None => tally.skipped += 1,
                    }
                }
                total.lock().expect("no worker panics").add(tally);
            });
        }
    });
    total.into_inner().expect("no worker panics")
}

fn take<'a, J>(next: &Mutex<usize>, jobs: &'a [J]) -> Option<&'a J> {
    let mut next = next.lock().expect("no worker panics");
    let job = jobs.get(*next);
    *next += 1;
    job
}
