//! Domain states in the API's words.

use grail_api::{ReclaimCode, RequestState, SettlementState, SignerOutcome};
use grail_flow::{RequestStage, SettlementStage};
use grail_store::VerdictKind;

pub(super) const fn request_state(stage: RequestStage) -> RequestState {
    use grail_flow::RequestStage as Flow;
    match stage {
        Flow::AwaitingDeposit => RequestState::AwaitingDeposit,
        Flow::Unconfirmed => RequestState::Unconfirmed,
        Flow::Ready => RequestState::Ready,
        Flow::Settling => RequestState::Settling,
        Flow::Paid => RequestState::Paid,
        Flow::Reclaimable => RequestState::Reclaimable,
        Flow::Reclaimed => RequestState::Reclaimed,
        Flow::Taken => RequestState::Taken,
        Flow::Expired => RequestState::Expired,
    }
}

pub(super) const fn settlement_state(stage: SettlementStage) -> SettlementState {
    use grail_flow::SettlementStage as Flow;
    match stage {
        Flow::Draft | Flow::Proven => SettlementState::Proving,
        Flow::Asked | Flow::Signed => SettlementState::Signing,
        Flow::Broadcast | Flow::Confirmed => SettlementState::Published,
        Flow::Final => SettlementState::Final,
        Flow::Abandoned => SettlementState::Abandoned,
    }
}

pub(super) const fn signer_outcome(verdict: VerdictKind) -> SignerOutcome {
    match verdict {
        VerdictKind::Signed => SignerOutcome::Signed,
        VerdictKind::Refused => SignerOutcome::Refused,
        VerdictKind::Faulty => SignerOutcome::Faulty,
    }
}

pub(super) const fn reclaim_code(code: grail_flow::ReclaimCode) -> ReclaimCode {
    use grail_flow::ReclaimCode as Flow;
    match code {
        Flow::BelowMinimum => ReclaimCode::BelowMinimum,
        Flow::AboveMaximum => ReclaimCode::AboveMaximum,
        Flow::WrongCharms => ReclaimCode::WrongCharms,
        Flow::Late => ReclaimCode::Late,
        Flow::DuplicateDeposit => ReclaimCode::DuplicateDeposit,
        Flow::FeeAboveCap => ReclaimCode::FeeAboveCap,
        Flow::TooCloseToReclaim => ReclaimCode::TooCloseToReclaim,
        Flow::Refused => ReclaimCode::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requests_and_codes_are_the_domains() {
        for stage in RequestStage::ALL {
            assert_eq!(request_state(*stage).name(), stage.name());
        }
        for verdict in VerdictKind::ALL {
            assert_eq!(signer_outcome(*verdict).name(), verdict.name());
        }
        for code in grail_flow::ReclaimCode::ALL {
            assert_eq!(reclaim_code(code).name(), code.code());
        }
    }
}
