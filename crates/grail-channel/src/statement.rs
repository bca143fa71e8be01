//! What one end of a handshake says, and what proves it.

use bitcoin::secp256k1::Message;
use grail_tee::{AttestError, AttestRequest, Attester, EvidencePurpose, evidence_user_data};
use grail_types::TaggedHasher;

use crate::{
    identity::{PeerId, Premises},
    verify::Claim,
};

/// Which end of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Dialled.
    Initiator,
    /// Was dialled.
    Responder,
}

impl Role {
    /// One byte that stands for the role in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// All that one end says about itself, its peer and this handshake. Made by a handshake alone, so
/// that a key which signs statements signs nothing that a peer made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    pub(crate) role: Role,
    pub(crate) transcript: [u8; 32],
    pub(crate) premises: Premises,
    pub(crate) speaker: PeerId,
    pub(crate) images_counter: u64,
    pub(crate) listener: PeerId,
}

impl Statement {
    /// Which end speaks.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Who speaks. Whoever signs makes sure that these are its own keys.
    pub const fn speaker(&self) -> PeerId {
        self.speaker
    }

    /// Whom it speaks to.
    pub const fn listener(&self) -> PeerId {
        self.listener
    }

    /// What the speaker goes by.
    pub const fn premises(&self) -> Premises {
        self.premises
    }

    /// Hash of the handshake so far.
    pub const fn transcript(&self) -> [u8; 32] {
        self.transcript
    }

    /// What the speaker's signer key signs (BIP-340).
    pub fn signer_message(&self) -> Message {
        self.message("grail/mesh/signer/v1")
    }

    /// What the speaker's instance key signs (BIP-340).
    pub fn instance_message(&self) -> Message {
        self.message("grail/mesh/instance/v1")
    }

    /// Has the speaker's TEE make the evidence.
    pub fn attest(&self, attester: &(impl Attester + ?Sized)) -> Result<Vec<u8>, AttestError> {
        attester.attest(&AttestRequest {
            user_data: Some(&self.user_data()),
            nonce: Some(&self.transcript),
            public_key: Some(&self.speaker.signer.serialize()),
        })
    }

    /// What the evidence must say.
    pub(crate) fn claim(&self) -> Claim {
        let Self { premises, .. } = self;
        Claim {
            bridge: premises.bridge,
            signer: self.speaker.signer,
            nonce: self.transcript,
            user_data: self.user_data(),
            images_counter: self.images_counter,
        }
    }

    /// Of what evidence about a channel's signer says, and of the statement.
    fn user_data(&self) -> [u8; 32] {
        let Self {
            premises, speaker, ..
        } = self;
        let about = evidence_user_data(&premises.bridge, EvidencePurpose::Channel, &speaker.signer);
        TaggedHasher::new("grail/mesh/evidence/v1")
            .bytes(&about)
            .bytes(&self.digest())
            .finish()
    }

    fn message(&self, tag: &str) -> Message {
        Message::from_digest(TaggedHasher::new(tag).bytes(&self.digest()).finish())
    }

    fn digest(&self) -> [u8; 32] {
        TaggedHasher::new("grail/mesh/statement/v1")
            .u8(self.role.tag())
            .bytes(&self.transcript)
            .bridge(&self.premises.bridge)
            .u64(self.premises.epoch.0)
            .bytes(&self.premises.params.0)
            .bytes(&self.speaker.signer.serialize())
            .bytes(&self.speaker.instance.serialize())
            .u64(self.images_counter)
            .bytes(&self.listener.signer.serialize())
            .bytes(&self.listener.instance.serialize())
            .finish()
    }
}
