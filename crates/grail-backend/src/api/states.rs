//! Domain states in the API's words.

use grail_api::{ReclaimCode, RequestState, SettlementState};

pub(super) const fn request_state(state: &grail_flow::RequestState) -> RequestState {
    use grail_flow::RequestState as Flow;
    match state {
        Flow::AwaitingDeposit {} => RequestState::AwaitingDeposit,
        Flow::Unconfirmed { .. } => RequestState::Unconfirmed,
        Flow::Ready { .. } => RequestState::Ready,
        Flow::Settling { .. } => RequestState::Settling,
        Flow::Paid { .. } => RequestState::Paid,
        Flow::Reclaimable { .. } => RequestState::Reclaimable,
        Flow::Reclaimed { .. } => RequestState::Reclaimed,
        Flow::Expired {} => RequestState::Expired,
    }
}

pub(super) const fn settlement_state(state: &grail_flow::SettlementState) -> SettlementState {
    use grail_flow::SettlementState as Flow;
    match state {
        Flow::Draft {} | Flow::Proven {} => SettlementState::Proving,
        Flow::Asked { .. } | Flow::Signed {} => SettlementState::Signing,
        Flow::Broadcast {} | Flow::Confirmed { .. } => SettlementState::Published,
        Flow::Final { .. } => SettlementState::Final,
        Flow::Abandoned { .. } => SettlementState::Abandoned,
    }
}

/// The API's name of a domain state's name, as events keep it.
pub(super) fn settlement_state_of_name(name: &str) -> Option<SettlementState> {
    match name {
        "draft" | "proven" => Some(SettlementState::Proving),
        "asked" | "signed" => Some(SettlementState::Signing),
        "broadcast" | "confirmed" => Some(SettlementState::Published),
        "final" => Some(SettlementState::Final),
        "abandoned" => Some(SettlementState::Abandoned),
        _ => None,
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
        let api: Vec<_> = RequestState::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(api, grail_flow::RequestState::NAMES);
        for code in grail_flow::ReclaimCode::ALL {
            assert_eq!(reclaim_code(code).name(), code.code());
        }
    }

    #[test]
    fn every_name_of_a_settlement_has_a_state() {
        for name in grail_flow::SettlementState::NAMES {
            assert!(settlement_state_of_name(name).is_some(), "{name}");
        }
        assert_eq!(settlement_state_of_name("lost"), None);
    }
}
