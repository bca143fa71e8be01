//! What administrators sign, offline, and what a rotation's coin commits to.

use bitcoin::secp256k1::Message;

use crate::{Bridge, Epoch, TaggedHasher};

/// What administrators consent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentStep {
    /// That a roster is announced.
    Announce {
        /// Hash of the list of evidence by which the newcomers' keys were looked at, so that all
        /// administrators looked at the same. Operators do not open it.
        evidence: [u8; 32],
    },
    /// That an announcement is taken back.
    Cancel,
}

/// One administrator's consent. It holds for one attempt of one epoch of one bridge: whatever is
/// announced or taken back after that needs other signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consent {
    /// To what.
    pub step: ConsentStep,
    /// Of which bridge.
    pub bridge: Bridge,
    /// The roster that hands over.
    pub epoch: Epoch,
    /// Number of the announcement, counted over all epochs: the one to be made, or the one to be
    /// taken back.
    pub attempt: u64,
    /// Hash of the roster to come (`RosterState::next_hash` of the contract): its keys, threshold
    /// and vault, parameters (and in them the enclave images), governance, spell versions.
    pub next: [u8; 32],
}

impl Consent {
    /// The digest that an administrator's BIP-340 signature is over. A tagged hash: it can never be
    /// a sighash.
    pub fn digest(&self) -> Message {
        let head = TaggedHasher::new("grail/consent/v1")
            .bridge(&self.bridge)
            .u64(self.epoch.0)
            .u64(self.attempt)
            .bytes(&self.next);
        let hasher = match self.step {
            ConsentStep::Announce { evidence } => head.u8(0).bytes(&evidence),
            ConsentStep::Cancel => head.u8(1),
        };
        Message::from_digest(hasher.finish())
    }
}

/// What the script of a notice coin commits to: the announcement that made it, so that the coin of
/// another attempt, epoch or bridge is another script.
pub fn notice_commitment(bridge: &Bridge, epoch: Epoch, serial: u64, next: &[u8; 32]) -> [u8; 32] {
    TaggedHasher::new("grail/notice/v1")
        .bridge(bridge)
        .u64(epoch.0)
        .u64(serial)
        .bytes(next)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BridgeApp, Network};

    fn consent() -> Consent {
        Consent {
            step: ConsentStep::Announce { evidence: [3; 32] },
            bridge: Bridge {
                network: Network::Regtest,
                app: BridgeApp {
                    identity: [1; 32],
                    vk: [2; 32],
                },
            },
            epoch: Epoch(4),
            attempt: 5,
            next: [6; 32],
        }
    }

    #[test]
    fn every_field_changes_the_digest() {
        let changes: [fn(&mut Consent); 9] = [
            |_| {},
            |it| it.step = ConsentStep::Cancel,
            |it| it.step = ConsentStep::Announce { evidence: [4; 32] },
            |it| it.bridge.network = Network::Signet,
            |it| it.bridge.app.identity = [2; 32],
            |it| it.bridge.app.vk = [1; 32],
            |it| it.epoch = Epoch(5),
            |it| it.attempt = 4,
            |it| it.next = [7; 32],
        ];
        let digests: std::collections::BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut consent = consent();
                change(&mut consent);
                *consent.digest().as_ref()
            })
            .collect();
        assert_eq!(digests.len(), changes.len());
    }

    #[test]
    fn each_announcement_has_a_coin_of_its_own() {
        let bridge = consent().bridge;
        let mut other = bridge;
        other.app.identity = [2; 32];
        let base = notice_commitment(&bridge, Epoch(4), 5, &[6; 32]);
        for changed in [
            notice_commitment(&other, Epoch(4), 5, &[6; 32]),
            notice_commitment(&bridge, Epoch(5), 5, &[6; 32]),
            notice_commitment(&bridge, Epoch(4), 6, &[6; 32]),
            notice_commitment(&bridge, Epoch(4), 5, &[7; 32]),
        ] {
            assert_ne!(changed, base);
        }
    }
}
