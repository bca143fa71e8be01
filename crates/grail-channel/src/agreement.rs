//! Agreement on keys: HPKE (RFC 9180) with X-Wing, of which only exported secrets are used.

use grail_types::TaggedHasher;
use hpke::{
    Deserializable as _, HpkeError, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::ExportOnlyAead, kdf::HkdfSha256, kem::XWing, setup_receiver, setup_sender_with_rng,
};
use zeroize::Zeroizing;

use crate::{
    frame::{Keys, Opening, Sealing},
    message::{CIPHERTEXT_BYTES, PUBLIC_KEY_BYTES},
    reason::Reason,
    seed::Seed,
    statement::Role,
    transcript::Transcript,
};

/// The initiator's half, until an answer comes. The seed stays in its one place on the heap and the
/// key pair is derived from it at each use, so that no move leaves a copy of a secret key behind.
pub(crate) struct Offer(Seed);

impl Offer {
    /// From a fresh seed.
    pub(crate) const fn new(seed: Seed) -> Self {
        Self(seed)
    }

    /// The public key that the hello carries.
    pub(crate) fn encapsulation_key(&self) -> Result<[u8; PUBLIC_KEY_BYTES], Reason> {
        let (_, public) = XWing::derive_keypair(self.0.bytes());
        let bytes = public.to_bytes();
        bytes.as_slice().try_into().map_err(|_| Reason::Agreement)
    }

    /// The keys, from the responder's ciphertext. `hello` is the transcript up to the hello,
    /// `accept` that with the answer.
    pub(crate) fn agree(
        self,
        encapsulated: &[u8; CIPHERTEXT_BYTES],
        hello: Transcript,
        accept: Transcript,
    ) -> Result<Keys, Reason> {
        let (secret, _) = XWing::derive_keypair(self.0.bytes());
        let encapsulated = <XWing as hpke::Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| Reason::Agreement)?;
        let context = setup_receiver::<ExportOnlyAead, HkdfSha256, XWing>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            &hello.bytes(),
        )
        .map_err(|_| Reason::Agreement)?;
        keys(Role::Initiator, accept, |label, out| {
            context.export(label, out)
        })
    }
}

/// The responder's half, before its answer is written.
pub(crate) struct Answer {
    context: hpke::aead::AeadCtxS<ExportOnlyAead, HkdfSha256, XWing>,
}

impl Answer {
    /// Encapsulates to the initiator's key; gives the ciphertext for the answer too.
    pub(crate) fn to(
        encapsulation_key: &[u8; PUBLIC_KEY_BYTES],
        hello: Transcript,
        seed: Seed,
    ) -> Result<(Self, [u8; CIPHERTEXT_BYTES]), Reason> {
        let public = <XWing as hpke::Kem>::PublicKey::from_bytes(encapsulation_key)
            .map_err(|_| Reason::Agreement)?;
        let (encapsulated, context) = setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            &hello.bytes(),
            &mut seed.into_draws(),
        )
        .map_err(|_| Reason::Agreement)?;
        let bytes = encapsulated.to_bytes();
        let bytes = bytes.as_slice().try_into().map_err(|_| Reason::Agreement)?;
        Ok((Self { context }, bytes))
    }

    /// The keys, once the answer is in the transcript.
    pub(crate) fn agree(self, accept: Transcript) -> Result<Keys, Reason> {
        keys(Role::Responder, accept, |label, out| {
            self.context.export(label, out)
        })
    }
}

/// One key per direction, named by the transcript and by who sends.
fn keys(
    own: Role,
    transcript: Transcript,
    export: impl Fn(&[u8], &mut [u8]) -> Result<(), HpkeError>,
) -> Result<Keys, Reason> {
    let key_of = |sender: Role| {
        let label = TaggedHasher::new("grail/mesh/key/v1")
            .bytes(&transcript.bytes())
            .u8(sender.tag())
            .finish();
        let mut key = Box::new(Zeroizing::new([0; 32]));
        export(&label, key.as_mut_slice()).map_err(|_| Reason::Agreement)?;
        Ok(key)
    };
    Ok(Keys {
        sealing: Sealing::new(key_of(own)?),
        opening: Opening::new(key_of(own.other())?),
    })
}
