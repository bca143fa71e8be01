//! Transitions of a settlement.

use grail_types::Params;

use super::{SettlementDuty, SettlementEvent, SettlementState};
use crate::{BlockRef, Hold, Unexpected, UnexpectedKind, confirmations};

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
    /// Which hold it has on its NFT and its requests until it is published.
    pub hold: Hold,
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
                Self::Signed {} => Ok((State::Broadcast {}, taking_place(situation))),
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
                    Ok((State::Broadcast {}, taking_place(situation)))
                }
                Self::Abandoned { .. } => Ok((State::Broadcast {}, vec![Duty::SignalIncluded])),
                Self::Broadcast {} | Self::Confirmed { .. } | Self::Final { .. } => Err(Superseded),
            },
            Event::ProvingFailed | Event::ProverRefused => match self {
                Self::Draft {} => self.abandon(event, situation),
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
                Self::Proven {} => self.abandon(event, situation),
                Self::Asked { .. }
                | Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::QuorumRefused => match self {
                Self::Draft {} | Self::Proven {} => Err(Impossible),
                Self::Asked { .. } => self.abandon(event, situation),
                Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::NodeRejected | Event::Replaced => match self {
                Self::Draft {} | Self::Proven {} | Self::Asked { .. } => Err(Impossible),
                Self::Signed {} | Self::Broadcast {} => self.abandon(event, situation),
                Self::Confirmed { .. } | Self::Final { .. } | Self::Abandoned { .. } => {
                    Err(Superseded)
                }
            },
            Event::Cancelled => match self {
                Self::Draft {} | Self::Proven {} | Self::Asked { .. } => {
                    self.abandon(event, situation)
                }
                // Signed: it may be mined at any time, so it is not ours to call off.
                Self::Signed {}
                | Self::Broadcast {}
                | Self::Confirmed { .. }
                | Self::Final { .. }
                | Self::Abandoned { .. } => Err(Superseded),
            },
            Event::Overdue => match self {
                Self::Draft {} | Self::Proven {} => self.abandon(event, situation),
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
                | Self::Broadcast {} => self.abandon(event, situation),
                Self::Confirmed { .. } | Self::Final { .. } => Err(Impossible),
                Self::Abandoned { .. } => Err(Superseded),
            },
        }
    }

    /// Ends the settlement; the caller has checked that this event may. One that stands by has no
    /// requests to tell, and nothing builds on it.
    fn abandon(self, event: &Event, situation: &SettlementSituation<'_>) -> Step {
        let code = event.abandon_code().ok_or(Impossible)?;
        let next = State::Abandoned { code };
        if situation.hold.stands_by(self.stage()) {
            return Ok((next, Vec::new()));
        }
        Ok((next, vec![Duty::SignalAbandoned { code }]))
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
            Self::Proven {} | Self::Asked { .. } | Self::Signed {} => {
                let mut duties = taking_place(situation);
                duties.extend(confirmed_duty(is_final));
                Ok((next, duties))
            }
            Self::Broadcast {} | Self::Confirmed { .. } => Ok((next, confirmed_duty(is_final))),
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

/// One that stood by has its requests from here on. What it replaces has ended before.
fn taking_place(situation: &SettlementSituation<'_>) -> Vec<Duty> {
    match situation.hold {
        Hold::FromStart => Vec::new(),
        Hold::OncePublished => vec![Duty::SignalIncluded],
    }
}

fn confirmed_duty(is_final: bool) -> Vec<Duty> {
    if is_final {
        vec![Duty::SignalConfirmed]
    } else {
        Vec::new()
    }
}
