//! The operator's own brakes: a pause, and a limit on what leaves the vault within a day.
//!
//! Owns two files of the state folder. It may only refuse, for this operator alone; losing it harms
//! nobody. Trusts the host's clock and files, and the enclave's "yes" for what it counts. Never
//! decides what may be signed: that is the enclave's (ADR 18).
//!
//! The limit goes by the NFT's states, not by signatures: a settlement that is asked about again,
//! replaced or given up lets nothing leave twice. The highest supply that a signed settlement of
//! the last day began from, less the supply after the one that is asked about, is what has left,
//! net, if all of it is mined.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use bitcoin::{Amount, Txid};
use grail_charms::{PrevTx, roster_state};
use grail_spell::nft_app;
use grail_types::{Bridge, MockAllowed};
use grail_wire::{FaultCode, Proposal, decode_proposal};
use serde::{Deserialize, Serialize};

use crate::{
    error::HostError,
    state::{StateFolder, read_bounded, write_whole},
};

/// Seconds for which what left counts.
const WINDOW_SECONDS: u64 = 24 * 60 * 60;
/// Supplies remembered: far more settlements than there are blocks in a day. Beyond it the two
/// oldest become one that counts for both.
const HIGHS_MAX: usize = 1_000;
/// Longest file that is read.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Longest reason of a pause.
const REASON_CHARS_MAX: usize = 200;

const PAUSE_FILE: &str = "pause.json";
const OUTFLOW_FILE: &str = "outflow.json";

/// Why a person paused an operator. The backend is told.
pub type Reason = grail_program::reason::Reason<REASON_CHARS_MAX>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    reason: Reason,
    /// Unix seconds.
    at: u64,
}

/// Pauses the operator of a state folder, also while no host runs on it.
pub fn pause(folder: &Path, reason: Reason) -> Result<(), HostError> {
    let at = now();
    let pause = serde_json::to_vec(&Pause { reason, at }).expect("a text and a number");
    write_whole(folder, &folder.join(PAUSE_FILE), &pause)
}

/// Ends the pause; there need not be one.
pub fn resume(folder: &Path) -> Result<(), HostError> {
    let path = folder.join(PAUSE_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(HostError::State { path, error }),
        _ => Ok(()),
    }
}

/// Why the host does not ask its enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Braked {
    /// [`FaultCode::OperatorPaused`] or [`FaultCode::OperatorLimit`].
    pub code: FaultCode,
    /// Expected and found.
    pub details: String,
}

/// The supply before and after a settlement, by the NFT's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supplies {
    before: Amount,
    after: Amount,
}

/// The brakes of a running host.
pub struct FailSafe {
    folder: PathBuf,
    bridge: Bridge,
    /// Most that may leave within a day; none without a limit.
    daily_max: Option<Amount>,
    highs: Highs,
}

impl FailSafe {
    /// The brakes of a state folder.
    pub fn open(
        state: &StateFolder,
        bridge: Bridge,
        daily_max: Option<Amount>,
    ) -> Result<Self, HostError> {
        let folder = state.path().to_owned();
        let path = folder.join(OUTFLOW_FILE);
        let highs = match read_bounded(&path, FILE_BYTES_MAX, "what left within a day")? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| HostError::StateDamaged {
                    path,
                    expected: "what left within a day",
                    got: error.to_string(),
                })?
            }
            None => Highs::default(),
        };
        Ok(Self {
            folder,
            bridge,
            daily_max,
            highs,
        })
    }

    /// Whether a person paused this operator. What cannot be read counts as a pause.
    pub fn check_pause(&self) -> Result<(), Braked> {
        let path = self.folder.join(PAUSE_FILE);
        let paused = |details: String| {
            Err(Braked {
                code: FaultCode::OperatorPaused,
                details,
            })
        };
        match read_bounded(&path, FILE_BYTES_MAX, "a pause") {
            Ok(None) => Ok(()),
            Ok(Some(bytes)) => match serde_json::from_slice::<Pause>(&bytes) {
                Ok(pause) => paused(format!("since {}: {}", pause.at, pause.reason.as_str())),
                Err(_) => paused("the pause cannot be read".to_owned()),
            },
            Err(_) => paused("the pause cannot be read".to_owned()),
        }
    }

    /// Whether a proposal stays within the limit; what is to be kept in mind if it is signed. What
    /// is no proposal is the enclave's to refuse.
    pub fn check_limit(&self, proposal: &[u8], now: u64) -> Result<Option<Supplies>, Braked> {
        let Some(daily_max) = self.daily_max else {
            return Ok(None);
        };
        let Ok(proposal) = decode_proposal(proposal) else {
            return Ok(None);
        };
        let braked = |details: String| Braked {
            code: FaultCode::OperatorLimit,
            details,
        };
        let supplies = supplies(&proposal, &self.bridge)
            .ok_or_else(|| braked("expected a settlement of the bridge's NFT".to_owned()))?;
        let left = self.highs.left_after(supplies, now);
        if left > daily_max {
            return Err(braked(format!(
                "expected at most {} sat to leave within a day, got {}",
                daily_max.to_sat(),
                left.to_sat()
            )));
        }
        Ok(Some(supplies))
    }

    /// Keeps in mind what was signed, before anybody gets it.
    pub fn signed(&mut self, supplies: Supplies, now: u64) -> Result<(), HostError> {
        self.highs.note(supplies.before, now);
        let highs = serde_json::to_vec(&self.highs).expect("a list of numbers");
        write_whole(&self.folder, &self.folder.join(OUTFLOW_FILE), &highs)
    }
}

/// The host's clock, unix seconds.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Reads both states of the NFT: the one that the first input spends, and the one on the first
/// output.
fn supplies(proposal: &Proposal, bridge: &Bridge) -> Option<Supplies> {
    let mock = MockAllowed::on(bridge.network);
    let supply = |read: &PrevTx, vout: u32| {
        let state = roster_state(&read.charms_at(vout), &nft_app(&bridge.app)).ok()??;
        Some(Amount::from_sat(state.supply))
    };
    let spent = proposal.transaction.input.first()?.previous_output;
    let made_it = |txid: Txid| {
        let mut previous = proposal.previous.iter().filter_map(|it| it.decode().ok());
        previous.find(|it| it.compute_txid() == txid)
    };
    let before = PrevTx::read_committed(&made_it(spent.txid)?, mock);
    let after = PrevTx::read_committed(&proposal.transaction, mock);
    Some(Supplies {
        before: supply(&before, spent.vout)?,
        after: supply(&after, 0)?,
    })
}

/// A supply that a signed settlement began from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct High {
    /// Unix seconds.
    at: u64,
    supply_sat: u64,
}

/// Supplies of the last day, oldest first, each lower than the one before: a lower one that is
/// older says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Highs(Vec<High>);

impl Highs {
    /// What has left within the day once a settlement is mined.
    fn left_after(&self, supplies: Supplies, now: u64) -> Amount {
        let counts = |high: &&High| high.at.saturating_add(WINDOW_SECONDS) > now;
        let known = self.0.iter().filter(counts).map(|high| high.supply_sat);
        let highest = known.fold(supplies.before.to_sat(), u64::max);
        Amount::from_sat(highest.saturating_sub(supplies.after.to_sat()))
    }

    fn note(&mut self, supply: Amount, now: u64) {
        let supply_sat = supply.to_sat();
        // A clock that was set back must not make what was signed before it count for less.
        let at = self.0.last().map_or(now, |last| last.at.max(now));
        self.0.retain(|high| {
            high.at.saturating_add(WINDOW_SECONDS) > now && high.supply_sat > supply_sat
        });
        self.0.push(High { at, supply_sat });
        if self.0.len() > HIGHS_MAX
            && let [oldest, next, ..] = self.0.as_mut_slice()
        {
            next.supply_sat = oldest.supply_sat;
            self.0.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_program::reason::ReasonError;

    use super::*;

    const DAY: u64 = WINDOW_SECONDS;

    fn supplies(before: u64, after: u64) -> Supplies {
        Supplies {
            before: Amount::from_sat(before),
            after: Amount::from_sat(after),
        }
    }

    fn left(highs: &Highs, before: u64, after: u64, now: u64) -> u64 {
        highs.left_after(supplies(before, after), now).to_sat()
    }

    fn noted(signed: &[(u64, u64)]) -> Highs {
        let mut highs = Highs::default();
        for (before, now) in signed {
            highs.note(Amount::from_sat(*before), *now);
        }
        highs
    }

    #[test]
    fn what_leaves_in_a_day_is_the_fall_from_its_highest_state() {
        assert_eq!(left(&noted(&[]), 100, 70, 0), 30);
        assert_eq!(left(&noted(&[]), 100, 130, 0), 0);
        let highs = noted(&[(100, 10), (70, 20)]);
        assert_eq!(left(&highs, 50, 40, 30), 60);
        // What came in later than it left does not count against it; what came in after does.
        let highs = noted(&[(100, 10), (40, 20)]);
        assert_eq!(left(&highs, 90, 80, 30), 20);
    }

    #[test]
    fn what_is_asked_about_again_or_replaced_counts_once() {
        let highs = noted(&[(100, 10), (100, 20), (100, 30)]);
        assert_eq!(highs.0.len(), 1);
        assert_eq!(left(&highs, 100, 70, 40), 30);
        // One that spends the same state and pays out what two did.
        let highs = noted(&[(100, 10), (80, 20)]);
        assert_eq!(left(&highs, 100, 60, 30), 40);
    }

    #[test]
    fn a_day_later_it_counts_no_more_and_a_clock_set_back_changes_nothing() {
        let highs = noted(&[(100, 10)]);
        assert_eq!(left(&highs, 70, 70, 10 + DAY - 1), 30);
        assert_eq!(left(&highs, 70, 70, 10 + DAY), 0);
        let highs = noted(&[(100, 1_000), (90, 5)]);
        assert_eq!(left(&highs, 70, 70, 1_000 + DAY - 1), 30);
        assert!(noted(&[(100, 10), (50, 10 + DAY)]).0.len() == 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgets_nothing_that_counts() {
        let signed: Vec<_> = (0..3_000).map(|step| (10_000 - step, step)).collect();
        let highs = noted(&signed);
        assert_eq!(highs.0.len(), HIGHS_MAX);
        assert_eq!(left(&highs, 5_000, 5_000, 3_000), 5_000);
    }

    #[test]
    fn a_pause_is_a_file_and_one_that_cannot_be_read_is_a_pause() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        let bridge = Bridge {
            network: grail_types::Network::Regtest,
            app: grail_types::BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
        };
        let state = StateFolder::open(&folder).unwrap();
        let brakes = FailSafe::open(&state, bridge, None).unwrap();
        assert_eq!(brakes.check_pause(), Ok(()));
        resume(&folder).unwrap();
        pause(&folder, "new disks".parse().unwrap()).unwrap();
        let braked = brakes.check_pause().unwrap_err();
        assert_eq!(braked.code, FaultCode::OperatorPaused);
        assert!(braked.details.ends_with(": new disks"), "{braked:?}");
        fs::write(folder.join(PAUSE_FILE), "{}").unwrap();
        assert_eq!(
            brakes.check_pause().unwrap_err().code,
            FaultCode::OperatorPaused
        );
        fs::write(folder.join(PAUSE_FILE), vec![b' '; FILE_BYTES_MAX + 1]).unwrap();
        assert_eq!(
            brakes.check_pause().unwrap_err().code,
            FaultCode::OperatorPaused
        );
        resume(&folder).unwrap();
        assert_eq!(brakes.check_pause(), Ok(()));
        for wrong in ["", " ", "a\nb", &"a".repeat(REASON_CHARS_MAX + 1)] {
            let refused = ReasonError {
                chars_max: REASON_CHARS_MAX,
            };
            assert_eq!(wrong.parse::<Reason>(), Err(refused));
        }
    }

    #[test]
    fn what_left_is_read_back_and_damaged_files_are_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let bridge = Bridge {
            network: grail_types::Network::Regtest,
            app: grail_types::BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
        };
        let state = StateFolder::open(&parent.path().join("state")).unwrap();
        let max = Some(Amount::from_sat(10));
        let mut brakes = FailSafe::open(&state, bridge, max).unwrap();
        brakes.signed(supplies(100, 95), 7).unwrap();
        let again = FailSafe::open(&state, bridge, max).unwrap();
        assert_eq!(again.highs, brakes.highs);
        fs::write(state.path().join(OUTFLOW_FILE), "{}").unwrap();
        let damaged = FailSafe::open(&state, bridge, max);
        assert!(matches!(damaged, Err(HostError::StateDamaged { .. })));
    }
}
