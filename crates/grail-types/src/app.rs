//! zk-apps by name: which program, and which address is its own.

use serde::{Deserialize, Serialize};

use crate::{Bridge, TaggedHasher, bytes::hex32_newtype};

hex32_newtype! {
    /// Names a zk-app of a bridge: what the script of its address commits to.
    HomeId
}

/// A Charms app, whatever its tag: a program, and which of its deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharmApp {
    /// What kind of charm, by Charms' convention: `t` a token, `n` an NFT, others the app's own.
    pub tag: char,
    /// SHA-256 of the UTXO id that its birth spent.
    #[serde(with = "crate::bytes::hex_array")]
    pub identity: [u8; 32],
    /// SHA-256 of the contract's wasm.
    #[serde(with = "crate::bytes::hex_array")]
    pub vk: [u8; 32],
}

impl CharmApp {
    /// Adds it to a hash.
    pub(crate) fn hashed(&self, hasher: TaggedHasher) -> TaggedHasher {
        hasher
            .u64(u64::from(u32::from(self.tag)))
            .bytes(&self.identity)
            .bytes(&self.vk)
    }
}

impl std::fmt::Display for CharmApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (identity, vk) = (hex::encode(self.identity), hex::encode(self.vk));
        write!(f, "{}/{identity}/{vk}", self.tag)
    }
}

/// Tags that no zk-app may have: Charms moves `t` and `n` without asking their contract, so what is
/// pooled under them could be doubled (ADR 5); `s` needs the addresses of Scrolls; `r` and `z` are
/// the bridge's.
pub const RESERVED_TAGS: [char; 5] = ['n', 'r', 's', 't', 'z'];

/// A Charms app that may hold coins at a home: its charms never move without its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CharmApp", into = "CharmApp")]
pub struct ZkApp(CharmApp);

/// The app's charms could move without its contract, or it could be taken for the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a tag from a to z other than n, r, s, t and z, got {0:?}")]
pub struct ReservedTag(pub char);

impl TryFrom<CharmApp> for ZkApp {
    type Error = ReservedTag;

    fn try_from(app: CharmApp) -> Result<Self, ReservedTag> {
        let is_free = app.tag.is_ascii_lowercase() && !RESERVED_TAGS.contains(&app.tag);
        if is_free {
            Ok(Self(app))
        } else {
            Err(ReservedTag(app.tag))
        }
    }
}

impl From<ZkApp> for CharmApp {
    fn from(app: ZkApp) -> Self {
        app.0
    }
}

impl ZkApp {
    /// The Charms app.
    pub const fn charm(&self) -> &CharmApp {
        &self.0
    }

    /// What the script of its address commits to, so that a coin there is this app's on this bridge
    /// and nobody else's.
    pub fn home(&self, bridge: &Bridge) -> HomeId {
        let of_bridge = TaggedHasher::new("grail/app/v1").bridge(bridge);
        HomeId(self.0.hashed(of_bridge).finish())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::{BridgeApp, Network};

    fn app() -> CharmApp {
        CharmApp {
            tag: 'p',
            identity: [1; 32],
            vk: [2; 32],
        }
    }

    fn bridge() -> Bridge {
        Bridge {
            network: Network::Regtest,
            app: BridgeApp {
                identity: [3; 32],
                vk: [4; 32],
            },
        }
    }

    #[test]
    fn every_reserved_tag_is_refused_and_every_other_letter_taken() {
        for tag in 'a'..='z' {
            let made = ZkApp::try_from(CharmApp { tag, ..app() });
            let expected = ['n', 'r', 's', 't', 'z'].contains(&tag);
            assert_eq!(made.is_err(), expected, "{tag}");
        }
        for tag in ['A', 'P', '0', ' ', '\0', 'ä', 'р'] {
            let made = ZkApp::try_from(CharmApp { tag, ..app() });
            assert_eq!(made, Err(ReservedTag(tag)));
        }
    }

    #[test]
    fn every_part_of_app_and_bridge_makes_another_home() {
        let base = (app(), bridge());
        let changes: [fn(&mut (CharmApp, Bridge)); 6] = [
            |it| it.0.tag = 'q',
            |it| it.0.identity[31] ^= 1,
            |it| it.0.vk[0] ^= 1,
            |it| it.1.network = Network::Mainnet,
            |it| it.1.app.identity[0] ^= 1,
            |it| it.1.app.vk[31] ^= 1,
        ];
        let mut homes = BTreeSet::new();
        let home = |(app, bridge): (CharmApp, Bridge)| ZkApp::try_from(app).unwrap().home(&bridge);
        homes.insert(home(base));
        for change in changes {
            let mut other = base;
            change(&mut other);
            homes.insert(home(other));
        }
        assert_eq!(homes.len(), 7);
    }

    #[test]
    fn the_home_is_stable() {
        // A snapshot: a change of this value strands what lies at every home.
        let home = ZkApp::try_from(app()).unwrap().home(&bridge());
        assert_eq!(
            home.to_string(),
            "b3d0a43ac529de02095d2ced3a29978659046ece3e752ad47b80dedb7b17ee0c"
        );
    }

    #[test]
    fn a_reserved_tag_does_not_come_in_from_outside() {
        let json = serde_json::to_value(CharmApp { tag: 't', ..app() }).unwrap();
        assert!(serde_json::from_value::<ZkApp>(json).is_err());
    }
}
