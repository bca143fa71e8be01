//! The key generation that a running enclave takes part in: one at a time, each step once.

use thiserror::Error;

use crate::{
    Draw, DrawRefused, Entropy, Group, SigningShare,
    dkg::{
        Ceremony, CertifyError, DealError, Dealt, HostKey, Params, ReceiveError, Received, deal,
    },
};

enum Step {
    Dealt(Ceremony, Box<Dealt>),
    Received(Ceremony, Box<Received>),
}

/// What an instance keeps of its ceremony. Another instance of the same operator knows nothing of
/// it, and answers so.
#[derive(Default)]
pub struct Ceremonies {
    step: Option<Step>,
    /// The last ceremony dealt in, which is never dealt in again.
    last: Option<Ceremony>,
}

/// Why a step is not taken.
#[derive(Debug, Error)]
pub enum CeremonyRefusal {
    /// Not the ceremony that this instance is in, or not at this step: a new session is needed.
    #[error("unknown session")]
    UnknownSession,
    /// Sessions of an epoch only count up within an instance.
    #[error("the ceremony is not after the last one")]
    NotAfterTheLast,
    /// The generator is broken.
    #[error(transparent)]
    Draw(#[from] DrawRefused),
    /// First step.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// Second step: the ceremony is over for this instance.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Third step: the transcript, once complete, still makes the share.
    #[error(transparent)]
    Certify(#[from] CertifyError),
}

impl Ceremonies {
    /// Deals in a ceremony after the last; whatever was open is dropped.
    ///
    /// # Errors
    /// [`CeremonyRefusal`].
    pub fn deal(
        &mut self,
        host: &HostKey,
        params: &Params,
        draw: Draw,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, CeremonyRefusal> {
        let ceremony = params.ceremony().ok_or(CeremonyRefusal::UnknownSession)?;
        if self.last.is_some_and(|last| !comes_after(&ceremony, &last)) {
            return Err(CeremonyRefusal::NotAfterTheLast);
        }
        let draw = entropy.pass(draw)?;
        self.step = None;
        self.last = Some(ceremony);
        let (dealt, message) = deal(host, params, draw)?;
        self.step = Some(Step::Dealt(ceremony, Box::new(dealt)));
        Ok(message)
    }

    /// Receives the broadcast of the ceremony dealt in, once.
    ///
    /// # Errors
    /// [`CeremonyRefusal`].
    pub fn receive(
        &mut self,
        host: &HostKey,
        ceremony: &Ceremony,
        broadcast: &[u8],
        draw: Draw,
        entropy: &mut Entropy,
    ) -> Result<[u8; 64], CeremonyRefusal> {
        let dealt = match self.step.take() {
            Some(Step::Dealt(own, dealt)) if own == *ceremony => dealt,
            other => {
                self.step = other;
                return Err(CeremonyRefusal::UnknownSession);
            }
        };
        let draw = entropy.pass(draw)?;
        let (received, signature) = dealt.receive(host, broadcast, draw.bytes())?;
        self.step = Some(Step::Received(*ceremony, Box::new(received)));
        Ok(signature)
    }

    /// Takes the certificate of the ceremony received, once.
    ///
    /// # Errors
    /// [`CeremonyRefusal`].
    pub fn certify(
        &mut self,
        ceremony: &Ceremony,
        certificate: &[u8],
    ) -> Result<(Group, SigningShare, Vec<u8>), CeremonyRefusal> {
        let received = match self.step.take() {
            Some(Step::Received(own, received)) if own == *ceremony => received,
            other => {
                self.step = other;
                return Err(CeremonyRefusal::UnknownSession);
            }
        };
        Ok(received.certify(certificate)?)
    }
}

fn comes_after(ceremony: &Ceremony, last: &Ceremony) -> bool {
    ceremony.bridge == last.bridge
        && (ceremony.epoch, ceremony.attempt, ceremony.session)
            > (last.epoch, last.attempt, last.session)
}
