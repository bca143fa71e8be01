//! Rotations: what administrators sign offline, as a file and in the API, and where a rotation
//! stands.

mod check;
mod document;
mod view;

pub use check::{CheckedRotation, RotationError};
pub use document::{
    AdministratorSignature, EvidenceHash, Hash32, ProposedRoster, ROTATION_BYTES_MAX,
    ROTATION_VERSION, RotationDocument, RotationPaper,
};
pub use view::{
    AnnouncedRoster, Attestation, Candidate, RotationBasis, RotationStage, RotationStatus,
    Rotations,
};
