//! The stages of a batch, by the times in the backend's log.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use grail_flow::SettlementId;
use serde_json::Value;

/// Microseconds since the day began (UTC): what a batch takes does not need the date.
type Micros = i64;

const SECOND: Micros = 1_000_000;
const DAY: Micros = 86_400 * SECOND;
/// Signatures that make a quorum.
const QUORUM: usize = 12;

/// When what happened.
pub struct Marks {
    /// The settlement of the batch.
    pub settlement: SettlementId,
    mined: Micros,
    ready: Micros,
    drafted: Micros,
    proven: Micros,
    asked: Micros,
    first_answer: Micros,
    quorum: Micros,
    signed: Micros,
    broadcast: Micros,
}

/// The time, as in [`Marks`].
pub fn now() -> Result<Micros> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Micros::try_from(since.as_micros())? % DAY)
}

/// Whether a line says that a settlement is in the mempool.
pub fn is_broadcast(line: &Value) -> bool {
    comes_to(line, "broadcast")
}

fn comes_to(line: &Value, state: &str) -> bool {
    line["fields"]["settlement"].is_u64() && line["fields"]["to"] == state
}

impl Marks {
    /// Reads the log of one batch.
    pub fn read(lines: &[Value], mined: Micros) -> Result<Self> {
        let first = |what: &str, is: &dyn Fn(&Value) -> bool| {
            let line = lines.iter().find(|line| is(line));
            at(line.with_context(|| format!("the log does not say {what}"))?)
        };
        let drafted = lines
            .iter()
            .find(|line| line["fields"]["message"] == "settlement drafted")
            .context("the log does not say drafted")?;
        let settlement = drafted["fields"]["settlement"]
            .as_u64()
            .context("a draft without a number")?;
        let ready = lines
            .iter()
            .rfind(|line| line["fields"]["request"].is_string() && line["fields"]["to"] == "ready");
        let signed: Vec<&Value> = lines
            .iter()
            .filter(|line| line["fields"]["message"] == "signed")
            .collect();
        Ok(Self {
            settlement: SettlementId(settlement),
            mined,
            ready: at(ready.context("the log does not say ready")?)?,
            drafted: at(drafted)?,
            proven: first("proven", &|line| comes_to(line, "proven"))?,
            asked: first("asked", &|line| comes_to(line, "asked"))?,
            first_answer: at(signed.first().context("nobody signed")?)?,
            quorum: at(signed.get(QUORUM - 1).context("no quorum")?)?,
            signed: first("signed", &|line| comes_to(line, "signed"))?,
            broadcast: first("broadcast", &is_broadcast)?,
        })
    }
}

/// The time of a line, `2026-11-20T16:45:34.123456Z`.
fn at(line: &Value) -> Result<Micros> {
    let stamp = line["timestamp"].as_str().context("a line without time")?;
    let clock = stamp
        .split_once('T')
        .and_then(|(_, clock)| clock.strip_suffix('Z'))
        .with_context(|| format!("{stamp} is no time"))?;
    let mut parts = clock.split([':', '.']);
    let mut part = || -> Result<Micros> { Ok(parts.next().context("a short time")?.parse()?) };
    let (hours, minutes, seconds, micros) = (part()?, part()?, part()?, part()?);
    Ok(((hours * 60 + minutes) * 60 + seconds) * SECOND + micros)
}

/// Milliseconds of each stage.
pub struct Stages([f64; NAMES.len()]);

const NAMES: [&str; 10] = [
    "block to ready (scanner's poll and rows)",
    "ready to drafted (plan, rows)",
    "drafted to proven (mock prover: not counted)",
    "proven to asked (policy's dry run, node's first test)",
    "asked to first signer's answer taken",
    "first to twelfth answer taken",
    "twelfth answer to signed (complete, node's second test)",
    "signed to broadcast",
    "**proven to broadcast**",
    "**ready to broadcast, prover excluded**",
];

impl Stages {
    /// The stages between marks.
    #[allow(clippy::cast_precision_loss, reason = "below a day")]
    pub fn of(marks: &Marks) -> Self {
        let stage = |from: Micros, to: Micros| (to - from).rem_euclid(DAY) as f64 / 1_000.0;
        let prover = stage(marks.drafted, marks.proven);
        Self([
            stage(marks.mined, marks.ready),
            stage(marks.ready, marks.drafted),
            prover,
            stage(marks.proven, marks.asked),
            stage(marks.asked, marks.first_answer),
            stage(marks.first_answer, marks.quorum),
            stage(marks.quorum, marks.signed),
            stage(marks.signed, marks.broadcast),
            stage(marks.proven, marks.broadcast),
            stage(marks.ready, marks.broadcast) - prover,
        ])
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.0 {
            write!(f, " {stage:.0}")?;
        }
        f.write_str(" ms")
    }
}

/// Prints median and range of each stage.
pub fn print(runs: &[Stages]) {
    println!("| Stage | Median | Range |");
    println!("|---|---|---|");
    for (index, name) in NAMES.iter().enumerate() {
        let mut times: Vec<f64> = runs.iter().map(|run| run.0[index]).collect();
        times.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (times.first(), times.last()) else {
            return;
        };
        let median = times[times.len() / 2];
        println!("| {name} | {median:.0} ms | {least:.0}-{most:.0} ms |");
    }
}
