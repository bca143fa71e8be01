//! What a bridge's evidence is held against: the bridge, its parameters, the images that these pin,
//! and the administrators.

use grail_types::{Bridge, Governance, Params, ParamsHash};
use serde::{Deserialize, Serialize};

use crate::{
    images::Images,
    pinned::{ImagesNotPinned, PinnedImages},
};

/// Most bytes of the JSON of a [`Protocol`]: [`grail_attest::IMAGES_MAX`] images take under half.
pub const PROTOCOL_JSON_BYTES_MAX: usize = 128 * 1024;

/// What everybody who takes part in a bridge must agree on, in one document of four objects.
/// Always consistent: made only where the parameters name the images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawProtocol", into = "RawProtocol")]
pub struct Protocol {
    bridge: Bridge,
    params: Params,
    images: PinnedImages,
    governance: Governance,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProtocol {
    bridge: Bridge,
    params: Params,
    images: Images,
    governance: Governance,
}

impl Protocol {
    /// The parts, if they belong together.
    pub fn new(
        bridge: Bridge,
        params: Params,
        images: Images,
        governance: Governance,
    ) -> Result<Self, ImagesNotPinned> {
        let images = PinnedImages::new(images, &params)?;
        Ok(Self {
            bridge,
            params,
            images,
            governance,
        })
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Its parameters.
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The images that may hold a signer's key.
    pub const fn images(&self) -> &PinnedImages {
        &self.images
    }

    /// The administrators: those that the bridge was deployed with, or those of a later roster.
    pub const fn governance(&self) -> &Governance {
        &self.governance
    }

    /// Names the first three: the hash of the bridge and its parameters, which hold the hash of the
    /// images.
    pub fn hash(&self) -> ParamsHash {
        self.params.hash(&self.bridge)
    }
}

impl TryFrom<RawProtocol> for Protocol {
    type Error = ImagesNotPinned;

    fn try_from(raw: RawProtocol) -> Result<Self, ImagesNotPinned> {
        Self::new(raw.bridge, raw.params, raw.images, raw.governance)
    }
}

impl From<Protocol> for RawProtocol {
    fn from(protocol: Protocol) -> Self {
        Self {
            bridge: protocol.bridge,
            params: protocol.params,
            images: protocol.images.into_inner(),
            governance: protocol.governance,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::secp256k1::{Keypair, Secp256k1};
    use grail_types::{BridgeApp, Measurement, Network};

    use super::*;
    use crate::images::{IMAGES_MAX, Image, ImageClass, TeeKind};

    fn protocol(image_count: usize) -> Protocol {
        let images = (0..image_count)
            .map(|number| Image {
                tee: TeeKind::Development,
                class: ImageClass::Migratable,
                measurement: Measurement {
                    pcr0: [u8::try_from(number).unwrap(); 48],
                    pcr1: [2; 48],
                    pcr2: [3; 48],
                },
            })
            .collect();
        let images = Images::new(1, images).unwrap();
        let app = BridgeApp {
            identity: [4; 32],
            vk: [5; 32],
        };
        let network = Network::Regtest;
        let params = Params::preset(network, images.hash());
        let secp = Secp256k1::new();
        let key = Keypair::from_seckey_slice(&secp, &[9; 32]).unwrap();
        let governance = Governance::new(vec![key.x_only_public_key().0], 1).unwrap();
        Protocol::new(Bridge { network, app }, params, images, governance).unwrap()
    }

    #[test]
    fn the_largest_reads_back_and_is_within_the_bound() {
        let largest = protocol(IMAGES_MAX);
        let json = serde_json::to_vec_pretty(&largest).unwrap();
        assert!(json.len() < PROTOCOL_JSON_BYTES_MAX / 2, "{}", json.len());
        assert_eq!(serde_json::from_slice::<Protocol>(&json).unwrap(), largest);
    }

    #[test]
    fn refuses_images_that_the_params_do_not_name() {
        let mut json = serde_json::to_value(protocol(1)).unwrap();
        json["images"] = serde_json::to_value(protocol(2).images().get()).unwrap();
        let error = serde_json::from_value::<Protocol>(json).unwrap_err();
        assert!(error.to_string().contains("as the params say"), "{error}");
    }

    #[test]
    fn refuses_fields_that_it_does_not_know() {
        for object in ["/bridge", "/params", "/images", "/governance", ""] {
            let mut json = serde_json::to_value(protocol(1)).unwrap();
            json.pointer_mut(object).unwrap()["extra"] = 1.into();
            assert!(
                serde_json::from_value::<Protocol>(json).is_err(),
                "{object}"
            );
        }
    }
}
