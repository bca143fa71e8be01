//! The images that evidence may show: the document that the parameters name, and no other.

use grail_types::{ImagesHash, Measurement, Params};
use thiserror::Error;

use crate::{
    expect::{Attested, Claims},
    images::{Images, NotResident, ShareHolder, TeeKind},
};

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

/// Why what evidence shows may hold no share of a group key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ShareRefused {
    /// No image of its kind.
    #[error("no image of this kind and measurement is listed")]
    NotListed,
    /// Its platform may copy its memory.
    #[error(transparent)]
    NotResident(#[from] NotResident),
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
    pub(crate) fn references(&self, tee: TeeKind) -> Vec<Measurement> {
        self.0
            .images()
            .iter()
            .filter(|image| image.tee == tee)
            .map(|image| image.measurement)
            .collect()
    }

    /// The proof that what was attested may hold a share of a group key: every listing of it says
    /// that its platform leaves its memory where it is.
    pub fn share_holder<E: Claims>(
        &self,
        attested: &Attested<E>,
    ) -> Result<ShareHolder, ShareRefused> {
        let evidence = attested.evidence();
        let mut shown = self.0.images().iter().filter(|image| {
            image.tee == evidence.tee() && image.measurement == *evidence.measurement()
        });
        let holder = shown
            .next()
            .ok_or(ShareRefused::NotListed)?
            .share_holder()?;
        for other in shown {
            let _also = other.share_holder()?;
        }
        Ok(holder)
    }
}

impl ShareRefused {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotListed => "measurement-not-listed",
            Self::NotResident(refused) => refused.code(),
        }
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
    use crate::{
        error::EvidenceError,
        expect::{Expected, expect},
        images::{Image, ImageClass},
    };

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

    struct Shown(Image);

    impl Claims for Shown {
        fn tee(&self) -> TeeKind {
            self.0.tee
        }

        fn measurement(&self) -> &Measurement {
            &self.0.measurement
        }

        fn check_user_data(&self, _: Option<&[u8]>) -> Result<(), EvidenceError> {
            Ok(())
        }

        fn check_nonce(&self, _: Option<&[u8]>) -> Result<(), EvidenceError> {
            Ok(())
        }
    }

    #[test]
    fn who_holds_a_share_is_listed_as_resident_and_as_nothing_else() {
        let resident = image(TeeKind::SevSnp, 1);
        let migratable = Image {
            class: ImageClass::Migratable,
            ..resident
        };
        let code = |list: &[Image], shown: Image| {
            let images = Images::new(1, list.to_vec()).unwrap();
            let params = Params::preset(Network::Regtest, images.hash());
            let pinned = PinnedImages::new(images, &params).unwrap();
            let expected = Expected {
                references: &[shown.measurement],
                user_data: None,
                nonce: None,
            };
            let attested = expect(Shown(shown), &expected).unwrap();
            let holder = pinned.share_holder(&attested);
            holder.map_or_else(|refused| refused.code(), |_| "holds")
        };
        assert_eq!(code(&[resident], resident), "holds");
        assert_eq!(code(&[migratable], resident), "image-not-resident");
        // Listed both ways, the weaker counts.
        assert_eq!(
            code(&[resident, migratable], resident),
            "image-not-resident"
        );
        let of_another_kind = image(TeeKind::Tdx, 1);
        assert_eq!(code(&[of_another_kind], resident), "measurement-not-listed");
        assert_eq!(
            code(&[image(TeeKind::SevSnp, 2)], resident),
            "measurement-not-listed"
        );
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
