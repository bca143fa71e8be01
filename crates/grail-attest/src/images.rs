//! Which enclave images may hold a signer's key.

use grail_types::{BoundedVec, ImagesHash, Measurement, TaggedHasher};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most images that a document lists: bounds what a verifier compares with.
pub const IMAGES_MAX: usize = 64;

/// A kind of trusted execution environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeeKind {
    /// The simulated one of regtest: protects nothing.
    Development,
    /// AWS Nitro Enclaves.
    Nitro,
    /// AMD SEV-SNP.
    SevSnp,
    /// Intel TDX.
    Tdx,
}

impl TeeKind {
    /// One byte that stands for the kind in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Development => 0,
            Self::Nitro => 1,
            Self::SevSnp => 2,
            Self::Tdx => 3,
        }
    }

    /// Its name, as documents of images have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Nitro => "nitro",
            Self::SevSnp => "sev-snp",
            Self::Tdx => "tdx",
        }
    }
}

/// How far an image's key can travel. A roster may limit how many of its signers are of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageClass {
    /// The platform neither snapshots nor moves a running enclave's memory.
    Resident,
    /// It can: such an image never holds what must not be copied.
    Migratable,
}

impl ImageClass {
    /// One byte that stands for the class in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Resident => 0,
            Self::Migratable => 1,
        }
    }
}

/// An image that may hold a signer's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The kind of TEE that measures it.
    pub tee: TeeKind,
    /// What the platform can do with its memory.
    pub class: ImageClass,
    /// What it measures to.
    pub measurement: Measurement,
}

/// An image whose platform leaves its memory where it is: it may hold a share of a group key, which
/// a copy of its memory would double.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareHolder(Image);

/// An image that may hold no share of a group key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected an image of class resident to hold a share of a group key, got {got:?}")]
pub struct NotResident {
    /// Its class.
    pub got: ImageClass,
}

impl Image {
    /// The proof that it may hold a share of a group key.
    pub const fn share_holder(self) -> Result<ShareHolder, NotResident> {
        match self.class {
            ImageClass::Resident => Ok(ShareHolder(self)),
            got @ ImageClass::Migratable => Err(NotResident { got }),
        }
    }
}

impl ShareHolder {
    /// The image.
    pub const fn image(&self) -> &Image {
        &self.0
    }
}

impl NotResident {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        "image-not-resident"
    }
}

/// The allowed images, under a counter that only grows. Always valid: made only by [`Images::new`].
///
/// A document of its own, apart from [`grail_types::Params`], so that a repaired enclave is a new
/// document and not a new protocol. Until administrators sign it, parameters carry its hash and the
/// counter stays 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawImages", into = "RawImages")]
pub struct Images {
    counter: u64,
    images: Vec<Image>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImages {
    counter: u64,
    images: BoundedVec<Image, IMAGES_MAX>,
}

/// Why a list of images is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImagesError {
    /// Nothing may run, or more than anybody compares with.
    #[error("expected 1 to {IMAGES_MAX} images, got {0}")]
    Count(usize),
    /// Unsorted or repeated: two documents would say the same.
    #[error("images must be strictly ascending")]
    Unsorted,
    /// Counters start at 1, and nothing pins a higher one yet.
    #[error("expected counter 1, got {0}")]
    Counter(u64),
}

impl Images {
    /// The first document: `images`, strictly ascending.
    pub fn new(counter: u64, images: Vec<Image>) -> Result<Self, ImagesError> {
        if counter != 1 {
            return Err(ImagesError::Counter(counter));
        }
        let count = images.len();
        if !(1..=IMAGES_MAX).contains(&count) {
            return Err(ImagesError::Count(count));
        }
        if !images.is_sorted_by(|one, next| one < next) {
            return Err(ImagesError::Unsorted);
        }
        Ok(Self { counter, images })
    }

    /// Number of the document.
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The images, strictly ascending.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// What each measures to.
    pub fn measurements(&self) -> Vec<Measurement> {
        self.images.iter().map(|image| image.measurement).collect()
    }

    /// Names the document.
    pub fn hash(&self) -> ImagesHash {
        let head = TaggedHasher::new("grail/images/v1")
            .u64(self.counter)
            .u64(self.images.len() as u64);
        let all = self.images.iter().fold(head, |hasher, image| {
            hasher
                .u8(image.tee.tag())
                .u8(image.class.tag())
                .bytes(&image.measurement.pcr0)
                .bytes(&image.measurement.pcr1)
                .bytes(&image.measurement.pcr2)
        });
        ImagesHash(all.finish())
    }
}

impl TryFrom<RawImages> for Images {
    type Error = ImagesError;

    fn try_from(raw: RawImages) -> Result<Self, ImagesError> {
        Self::new(raw.counter, raw.images.into_inner())
    }
}

impl From<Images> for RawImages {
    fn from(images: Images) -> Self {
        Self {
            counter: images.counter,
            images: BoundedVec::new(images.images).expect("a valid document is within the bound"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image(number: u8) -> Image {
        Image {
            tee: TeeKind::Nitro,
            class: ImageClass::Resident,
            measurement: Measurement {
                pcr0: [number; 48],
                pcr1: [2; 48],
                pcr2: [3; 48],
            },
        }
    }

    #[test]
    fn refuses_what_is_no_document() {
        assert_eq!(Images::new(0, vec![image(1)]), Err(ImagesError::Counter(0)));
        assert_eq!(Images::new(2, vec![image(1)]), Err(ImagesError::Counter(2)));
        assert_eq!(Images::new(1, vec![]), Err(ImagesError::Count(0)));
        let many = (0..65).map(image).collect();
        assert_eq!(Images::new(1, many), Err(ImagesError::Count(65)));
        for pair in [[image(1), image(1)], [image(2), image(1)]] {
            assert_eq!(Images::new(1, pair.to_vec()), Err(ImagesError::Unsorted));
        }
        assert!(Images::new(1, (0..64).map(image).collect()).is_ok());
    }

    #[test]
    fn only_a_resident_image_may_hold_a_share() {
        let resident = image(1);
        assert_eq!(*resident.share_holder().unwrap().image(), resident);
        let migratable = Image {
            class: ImageClass::Migratable,
            ..resident
        };
        let refused = migratable.share_holder().unwrap_err();
        assert_eq!(refused.got, ImageClass::Migratable);
        assert_eq!(refused.code(), "image-not-resident");
    }

    #[test]
    fn each_kind_has_a_tag_and_a_name_of_its_own() {
        let kinds = [
            (TeeKind::Development, 0),
            (TeeKind::Nitro, 1),
            (TeeKind::SevSnp, 2),
            (TeeKind::Tdx, 3),
        ];
        for (kind, tag) in kinds {
            assert_eq!(kind.tag(), tag);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn every_part_changes_the_hash() {
        let base = Images::new(1, vec![image(1)]).unwrap();
        let changes: [fn(&mut Image); 5] = [
            |image| image.tee = TeeKind::Development,
            |image| image.class = ImageClass::Migratable,
            |image| image.measurement.pcr0[0] ^= 1,
            |image| image.measurement.pcr1[0] ^= 1,
            |image| image.measurement.pcr2[0] ^= 1,
        ];
        for change in changes {
            let mut other = image(1);
            change(&mut other);
            let other = Images::new(1, vec![other]).unwrap();
            assert_ne!(base.hash(), other.hash());
        }
        let two = Images::new(1, vec![image(1), image(2)]).unwrap();
        assert_ne!(base.hash(), two.hash());
    }

    #[test]
    fn reads_back_and_refuses_an_unsorted_list() {
        let images = Images::new(1, vec![image(1), image(2)]).unwrap();
        let mut json = serde_json::to_value(&images).unwrap();
        assert_eq!(
            serde_json::from_value::<Images>(json.clone()).unwrap(),
            images
        );
        json["images"].as_array_mut().unwrap().reverse();
        assert!(serde_json::from_value::<Images>(json).is_err());
    }
}
