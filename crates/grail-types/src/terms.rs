//! What a user asks for, and the commitment that binds a deposit to it.

use bitcoin::{Amount, Script, ScriptBuf, XOnlyPublicKey};
use serde::{Deserialize, Serialize};

use crate::{BridgeApp, Epoch, Network, TaggedHasher, bytes::hex32_newtype};

hex32_newtype! {
    /// Names a request: the commitment to its terms. The deposit address carries it, so the same
    /// number names the request in the script, the database, the API and the receipt.
    RequestId
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// BTC to zkBTC.
    PegIn,
    /// zkBTC to BTC.
    PegOut,
    /// Pays the miners of the announcement of the next roster, with the whole coin.
    SponsorAnnounce,
    /// Pays the miners of taking an announcement back.
    SponsorCancel,
    /// Pays the miners of handing over.
    SponsorExecute,
    /// Pays the miners of moving donations into the vault's coin.
    SponsorMerge,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PegIn,
        Self::PegOut,
        Self::SponsorAnnounce,
        Self::SponsorCancel,
        Self::SponsorExecute,
        Self::SponsorMerge,
    ];

    /// Whether its deposit carries zkBTC.
    pub const fn is_peg_out(self) -> bool {
        matches!(self, Self::PegOut)
    }

    /// Whether it pays the miners of the bridge's own transactions, and gets nothing.
    pub const fn is_sponsor(self) -> bool {
        matches!(
            self,
            Self::SponsorAnnounce | Self::SponsorCancel | Self::SponsorExecute | Self::SponsorMerge
        )
    }
}

/// A script that Grail pays to: one of the standard address types, nothing that could be
/// unspendable by shape or disturb the settlement's layout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "ScriptBuf", into = "ScriptBuf")]
pub struct Destination(ScriptBuf);

/// The script is of no allowed type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a P2PKH, P2SH, P2WPKH, P2WSH or P2TR script")]
pub struct DestinationError;

impl Destination {
    /// The output script.
    pub fn script(&self) -> &Script {
        &self.0
    }
}

impl TryFrom<ScriptBuf> for Destination {
    type Error = DestinationError;

    fn try_from(script: ScriptBuf) -> Result<Self, DestinationError> {
        let known = script.is_p2pkh()
            || script.is_p2sh()
            || script.is_p2wpkh()
            || script.is_p2wsh()
            || script.is_p2tr();
        if known {
            Ok(Self(script))
        } else {
            Err(DestinationError)
        }
    }
}

impl From<Destination> for ScriptBuf {
    fn from(destination: Destination) -> Self {
        destination.0
    }
}

/// A request's terms, fixed by the user before depositing and committed to by the deposit address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What for.
    pub kind: Kind,
    /// Network the deposit is made on.
    pub network: Network,
    /// Bridge that serves it.
    pub bridge: BridgeApp,
    /// Peg-in: who receives the zkBTC. Peg-out: who receives the BTC. A sponsor gets nothing, and
    /// no rule reads it.
    pub destination: Destination,
    /// Most that the request may contribute to a settlement's fee.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee_cap: Amount,
    /// Roster that holds the deposit.
    pub epoch: Epoch,
    /// The user's key for the way out.
    pub reclaim_key: XOnlyPublicKey,
    /// Blocks after which the user may take the deposit back.
    pub reclaim_delay: u16,
    /// Makes requests for the same different ones.
    #[serde(with = "crate::bytes::hex_array")]
    pub nonce: [u8; 16],
}

impl Terms {
    /// The commitment: what the deposit script carries, and the request's name.
    pub fn id(&self) -> RequestId {
        RequestId(
            TaggedHasher::new("grail/terms/v1")
                .u8(match self.kind {
                    Kind::PegIn => 0,
                    Kind::PegOut => 1,
                    Kind::SponsorAnnounce => 2,
                    Kind::SponsorCancel => 3,
                    Kind::SponsorExecute => 4,
                    Kind::SponsorMerge => 5,
                })
                .u8(self.network.tag())
                .bytes(&self.bridge.identity)
                .bytes(&self.bridge.vk)
                .bytes(self.destination.script().as_bytes())
                .u64(self.fee_cap.to_sat())
                .u64(self.epoch.0)
                .bytes(&self.reclaim_key.serialize())
                .u64(u64::from(self.reclaim_delay))
                .bytes(&self.nonce)
                .finish(),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::{
        WPubkeyHash,
        hashes::Hash,
        secp256k1::{Keypair, Secp256k1},
    };

    fn terms() -> Terms {
        let key = Keypair::from_seckey_slice(&Secp256k1::new(), &[7; 32]).unwrap();
        Terms {
            kind: Kind::PegIn,
            network: Network::Regtest,
            bridge: BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
            destination: ScriptBuf::new_p2wpkh(&WPubkeyHash::all_zeros())
                .try_into()
                .unwrap(),
            fee_cap: Amount::from_sat(5_000),
            epoch: Epoch(0),
            reclaim_key: key.x_only_public_key().0,
            reclaim_delay: 1_008,
            nonce: [3; 16],
        }
    }

    #[test]
    fn every_field_changes_the_commitment() {
        let base = terms();
        let changes: [fn(&mut Terms); 10] = [
            |t| t.kind = Kind::PegOut,
            |t| t.network = Network::Signet,
            |t| t.bridge.identity[0] ^= 1,
            |t| t.bridge.vk[0] ^= 1,
            |t| {
                t.destination = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]))
                    .try_into()
                    .unwrap();
            },
            |t| t.fee_cap += Amount::ONE_SAT,
            |t| t.epoch.0 += 1,
            |t| {
                t.reclaim_key = Keypair::from_seckey_slice(&Secp256k1::new(), &[8; 32])
                    .unwrap()
                    .x_only_public_key()
                    .0;
            },
            |t| t.reclaim_delay += 1,
            |t| t.nonce[0] ^= 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.id(), other.id(), "change {index}");
        }
    }

    #[test]
    fn each_kind_is_another_request() {
        let ids = Kind::ALL.map(|kind| Terms { kind, ..terms() }.id());
        assert_eq!(std::collections::BTreeSet::from(ids).len(), ids.len());
    }

    #[test]
    fn the_commitment_is_stable() {
        // A snapshot: a change of this value strands every open deposit.
        assert_eq!(
            terms().id().to_string(),
            "8b9d52ff3d6ec117c7ce2b16f69937cee2ff195e4729ab6e39252f4228d5142d"
        );
    }

    #[test]
    fn refuses_a_destination_that_is_no_address() {
        let script = ScriptBuf::new_op_return([1, 2, 3]);
        assert_eq!(Destination::try_from(script), Err(DestinationError));
        assert_eq!(
            Destination::try_from(ScriptBuf::new()),
            Err(DestinationError)
        );
    }

    #[test]
    fn refuses_an_unknown_field() {
        let mut json = serde_json::to_value(terms()).unwrap();
        json["extra"] = 1.into();
        assert!(serde_json::from_value::<Terms>(json).is_err());
    }
}
