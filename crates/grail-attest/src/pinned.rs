//! The images that evidence may show: the document that the parameters name, and no other.

use grail_types::{ImagesHash, Measurement, Params};
use thiserror::Error;

use crate::images::{Images, TeeKind};

/// A document of images whose hash the protocol parameters carry. Evidence is verified against
/// nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedImages(Images);

/// A document of images that the protocol parameters do not name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected images {expected}, as the params say, got {got}")]
pub struct ImagesNotPinned {
    /// The hash in the parameters.
    pub expected: ImagesHash,
    /// The document's.
    pub got: ImagesHash,
}

impl PinnedImages {
    /// The document, if `params` name it.
    pub fn new(images: Images, params: &Params) -> Result<Self, ImagesNotPinned> {
        let (expected, got) = (params.images, images.hash());
        if expected == got {
            Ok(Self(images))
        } else {
            Err(ImagesNotPinned { expected, got })
        }
    }

    /// The document.
    pub const fn get(&self) -> &Images {
        &self.0
    }

    /// The document, taken out.
    pub fn into_inner(self) -> Images {
        self.0
    }

    /// What images of one kind of TEE measure to. Nothing of another kind: what a platform's root
    /// vouches for says nothing about an image that was listed for another platform.
    pub fn references(&self, tee: TeeKind) -> Vec<Measurement> {
        self.0
            .images()
            .iter()
            .filter(|image| image.tee == tee)
            .map(|image| image.measurement)
            .collect()
    }
}

impl ImagesNotPinned {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        "images-not-pinned"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_types::Network;

    use super::*;
    use crate::images::{Image, ImageClass};

    fn image(tee: TeeKind, number: u8) -> Image {
        Image {
            tee,
            class: ImageClass::Resident,
            measurement: Measurement {
                pcr0: [number; 48],
                pcr1: [2; 48],
                pcr2: [3; 48],
            },
        }
    }

    fn images(number: u8) -> Images {
        let list = vec![
            image(TeeKind::Development, number),
            image(TeeKind::Nitro, 8),
            image(TeeKind::Nitro, 9),
        ];
        Images::new(1, list).unwrap()
    }

    #[test]
    fn only_the_document_that_the_params_name_is_pinned() {
        let (named, other) = (images(1), images(2));
        let params = Params::preset(Network::Regtest, named.hash());
        let pinned = PinnedImages::new(named.clone(), &params).unwrap();
        assert_eq!(*pinned.get(), named);
        let expected = ImagesNotPinned {
            expected: named.hash(),
            got: other.hash(),
        };
        assert_eq!(PinnedImages::new(other, &params), Err(expected));
    }

    #[test]
    fn references_are_the_images_of_one_kind_of_tee() {
        let params = Params::preset(Network::Regtest, images(1).hash());
        let pinned = PinnedImages::new(images(1), &params).unwrap();
        let firsts = |tee| -> Vec<u8> {
            let references = pinned.references(tee);
            references.iter().map(|image| image.pcr0[0]).collect()
        };
        assert_eq!(firsts(TeeKind::Development), [1]);
        assert_eq!(firsts(TeeKind::Nitro), [8, 9]);
    }
}
