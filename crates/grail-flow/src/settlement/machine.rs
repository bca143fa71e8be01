//! Transitions of a settlement.

use grail_types::Params;

use super::{SettlementDuty, SettlementEvent, SettlementState};
use crate::{BlockRef, Unexpected, UnexpectedKind, confirmations};

use SettlementDuty as Duty;
use SettlementEvent as Event;
use SettlementState as State;
use UnexpectedKind::{Impossible, Superseded};

/// What a transition may depend on besides state and event.
#[derive(Clone, Copy, Debug)]
pub struct SettlementSituation<'a> {
    /// Protocol parameters.
    pub params: &'a Params,
    /// Height of the best block, as of the event.
    pub tip_height: u32,
}

type Step = Result<(State, Vec<Duty>), UnexpectedKind>;

impl SettlementState {
    /// The next state and the duties that come with it. An answer always differs from `self` or
    /// carries a duty. A new settlement's first duty is its proof; whoever creates the draft
    /// sees to it.
    ///
    /// # Errors
    /// [`Unexpected`] when the event does not apply; nothing changed.
    pub fn apply(
        self,
        event: &SettlementEvent,
        situation: &SettlementSituation<'_>,
    ) -> Result<(Self, Vec<SettlementDuty>), Unexpected> {
        self.step(event, situation).map_err(|kind| Unexpected {
            state: self.name(),
            event: event.name(),
            kind,
        })
    }

    fn step(self, event: &Event, situation: &SettlementSituation<'_>) -> Step {
        match *event {
            Event::Mined { block } => self.mined(block, situation),
            Event::Unmined => self.unmined(),
            Event::SpellProven => match self {
                Self::Draft {} => Ok((State::Proven {}, vec![Duty::DryRun])),
                Self::Proven {}
                | Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::DryRunPassed => match self {
                Self::Draft {} => Err(Impossible),
                Self::Proven {} => Ok((State::Asked { round: 1 }, vec![Duty::Ask { round: 1 }])),
                Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::RoundTimedOut { round } => self.round_timed_out(round),
            Event::QuorumReached => match self {
                Self::Draft {} | Self::Proven {} => Err(Impossible),
                Self::Asked { .. } => Ok((State::Signed {}, vec![Duty::Publish])),
                Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::NodeAccepted => match self {
                Self::Draft {} | Self::Proven {} | Self::Asked { .. } => Err(Impossible),
                Self::Signed {} => Ok((State::Broadcast {}, Vec::new())),
                Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::Relayed => match self {
                // A draft has no transaction that anybody could send.
                Self::Draft {} => Err(Impossible),
                // Answers of operators are public: others can put them together.
                Self::Proven {} | Self::Asked { .. } | Self::Signed {} => {
                    Ok((State::Broadcast {}, Vec::new()))
                }
                Self::Abandoned { .. } => Ok((State::Broadcast {}, vec![Duty::SignalIncluded])),
                Self::Broadcast {} | Self::Confirmed { .. } | Self::Final { .. } => Err(Superseded),
            },
            Event::ProvingFailed | Event::ProverRefused => match self {
                Self::Draft {} => abandon(event),
                Self::Proven {}
                | Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::DryRunRefused => match self {
                Self::Draft {} => Err(Impossible),
                Self::Proven {} => abandon(event),
                Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::QuorumRefused => match self {
                Self::Draft {} | Self::Proven {} => Err(Impossible),
                Self::Asked { .. } => abandon(event),
                Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::NodeRejected | Event::Replaced => match self {
                Self::Draft {} | Self::Proven {} | Self::Asked { .. } => Err(Impossible),
                Self::Signed {} | Self::Broadcast {} => abandon(event),
                Self::Confirmed { .. } | Self::Final { .. } | Self::Abandoned { .. } => {
                    Err(Superseded)
                }
            },
            Event::Cancelled => match self {
                Self::Draft {} | Self::Proven {} | Self::Asked { .. } => abandon(event),
                // Signed: it may be mined at any time, so it is not ours to call off.
                Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::Overdue => match self {
                Self::Draft {} | Self::Proven {} => abandon(event),
                // Made anew while a quorum is missing, it would cost a proof and meet the same.
                Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::ConflictFound | Event::ParentAbandoned => match self {
                Self::Draft {}
                | Self::Proven {}
                | Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {} => abandon(event),
                Self::Confirmed { .. } | Self::Final { .. } => Err(Impossible),
                Self::Abandoned { .. } => Err(Superseded),
            },
        }
    }

    fn round_timed_out(self, ended: u32) -> Step {
        match self {
            // Operators are waited for as long as it takes; the deposits' own deadlines bound the
            // wait.
            Self::Asked { round } if round == ended => {
                let round = round.checked_add(1).ok_or(Superseded)?;
                Ok((State::Asked { round }, vec![Duty::Ask { round }]))
            }
            Self::Draft {} | Self::Proven {} => Err(Impossible),
            Self::Asked { .. }
            | Self::Signed {}
            | Self::Broadcast {}
            | Self::Confirmed { .. }
            | Self::Final { .. }
            | Self::Abandoned { .. } => Err(Superseded),
        }
    }

    fn mined(self, block: BlockRef, situation: &SettlementSituation<'_>) -> Step {
        let BlockRef { height, hash } = block;
        let confirmed = confirmations(situation.tip_height, height);
        let is_final = confirmed >= situation.params.settlement_confirmations;
        let next = if is_final {
            State::Final { height, hash }
        } else {
            State::Confirmed { height, hash }
        };
        if next == self {
            return Err(Superseded);
        }
        match self {
            Self::Final { .. } if self.block() == Some(block) => Err(Superseded),
            // A draft has no transaction that could be mined; a final one moves to another block
            // only by `Unmined`.
            Self::Draft {} | Self::Final { .. } => Err(Impossible),
            // Asked and proven: another process combined and published it.
            Self::Proven {}
            | Self::Asked { .. }
            | Self::Signed {}
            | Self::Broadcast {}
            | Self::Confirmed { .. } => Ok((next, confirmed_duty(is_final))),
            Self::Abandoned { .. } => {
                let mut duties = vec![Duty::SignalIncluded];
                duties.extend(confirmed_duty(is_final));
                Ok((next, duties))
            }
        }
    }

    fn unmined(self) -> Step {
        match self {
            Self::Confirmed { .. } => Ok((State::Broadcast {}, vec![Duty::Publish])),
            Self::Final { .. } => Ok((
                State::Broadcast {},
                vec![Duty::Publish, Duty::SignalUnconfirmed],
            )),
            Self::Draft {}
            | Self::Proven {}
            | Self::Asked { .. }
            | Self::Signed {}
            | Self::Broadcast {}
            | Self::Abandoned { .. } => Err(Superseded),
        }
    }
}

/// Ends the settlement; the caller has checked that this event may.
fn abandon(event: &Event) -> Step {
    let code = event.abandon_code().ok_or(Impossible)?;
    Ok((
        State::Abandoned { code },
        vec![Duty::SignalAbandoned { code }],
    ))
}

fn confirmed_duty(is_final: bool) -> Vec<Duty> {
    if is_final {
        vec![Duty::SignalConfirmed]
    } else {
        Vec::new()
    }
}
