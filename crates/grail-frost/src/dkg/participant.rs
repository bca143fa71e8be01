//! A holder's three steps.

use std::fmt;

use bitcoin::secp256k1::PublicKey;
use thiserror::Error;

use crate::{
    BYTES_OF_A_POINT, Draw, Group, GroupError, HolderId, SigningShare, Vanished,
    dkg::{
        CERTIFICATE, HostKey, POSSESSION, Params, TAG,
        blame::Suspicion,
        commitment::Commitment,
        message::{Broadcast, Deal, Length, ReadError},
        pads::{self, Pads},
        polynomial::Polynomial,
        tagged_schnorr,
        transcript::{certificate_message, certified},
    },
    hash::Tagged,
    scalar::{Point, Secret},
};

/// Why a holder does not deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DealError {
    /// The key is nobody's here.
    #[error("the host key is none of the holders'")]
    NotAHolder,
    /// Negligible.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

/// What a holder remembers of his deal until the broadcast. Taken by value, so one deal is received
/// once; lost with the process, and then another ceremony starts.
///
/// ```compile_fail,E0382
/// use grail_frost::dkg::{Dealt, HostKey};
///
/// fn receive_twice(dealt: Dealt, host: &HostKey, one: &[u8], other: &[u8]) {
///     let _ = dealt.receive(host, one, &[0; 32]);
///     let _ = dealt.receive(host, other, &[0; 32]);
/// }
/// ```
pub struct Dealt {
    params: Params,
    id: HolderId,
    constant: Point,
    ephemeral: [u8; BYTES_OF_A_POINT],
}

/// What the coordinator did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoordinatorFault {
    /// A point or number that is none.
    #[error("sent a malformed message")]
    Malformed,
    /// The holder's own ephemeral point was replaced.
    #[error("sent another ephemeral point than mine")]
    OtherEphemeral,
    /// The holder's own constant term was replaced.
    #[error("sent another commitment than mine")]
    OtherCommitment,
    /// A certificate in which some signature is wrong.
    #[error("sent a certificate with an invalid signature")]
    Certificate,
    /// An investigation whose public shares sum to something else.
    #[error("sent public shares that do not sum to mine")]
    PublicShareSum,
    /// An investigation whose shares sum to something else.
    #[error("sent shares that do not sum to mine")]
    ShareSum,
    /// The one share that nobody else could make.
    #[error("changed my share to myself")]
    ShareToMyself,
}

/// What a holder did wrong, unless the coordinator changed his message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HolderFault {
    /// No point.
    #[error("sent an invalid ephemeral point")]
    Ephemeral,
    /// Infinity.
    #[error("sent an invalid commitment")]
    Commitment,
    /// Of the constant term.
    #[error("sent an invalid proof of possession")]
    Possession,
    /// Not what the commitment says.
    #[error("sent an invalid share")]
    Share,
}

/// Why a holder signs no certificate. His deal is gone in every case.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// The host key is not the one that dealt.
    #[error("the host key is not the one that dealt")]
    OtherHostKey,
    /// Of the message.
    #[error(transparent)]
    Length(#[from] Length),
    /// The coordinator's fault.
    #[error("the coordinator {0}")]
    Coordinator(CoordinatorFault),
    /// A holder's fault, or the coordinator's who changed his message.
    #[error("holder {0}, or the coordinator in his name, {1}")]
    HolderOrCoordinator(HolderId, HolderFault),
    /// Somebody's fault: the coordinator can be asked who dealt what ([`Suspicion`]).
    #[error("the share does not fit the commitments")]
    Share(Box<Suspicion>),
    /// The key that came out is none.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Negligible.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

impl From<ReadError> for ReceiveError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Length(length) => Self::Length(length),
            ReadError::Malformed(_) => Self::Coordinator(CoordinatorFault::Malformed),
        }
    }
}

/// What a holder remembers until the certificate. He has signed it; others may complete it without
/// telling him, so the key may come to count: [`crate::dkg::recover`] then makes the share.
pub struct Received {
    params: Params,
    transcript: Vec<u8>,
    group: Group,
    share: SigningShare,
}

/// Why a key does not count yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertifyError {
    /// Of the certificate.
    #[error(transparent)]
    Length(#[from] Length),
    /// Somebody did not sign the same transcript.
    #[error("the coordinator {0}")]
    Coordinator(CoordinatorFault),
}

/// First step: a polynomial, one share of it for each holder, under that holder's key. The message
/// goes to the coordinator.
///
/// # Errors
/// [`DealError`].
#[expect(clippy::needless_pass_by_value, reason = "a draw serves one deal")]
pub fn deal(host: &HostKey, params: &Params, draw: Draw) -> Result<(Dealt, Vec<u8>), DealError> {
    let id = params.id_of(host).ok_or(DealError::NotAHolder)?;
    let context = params.context();
    // Everything follows from this seed, so different shares never meet the same pads.
    let seed = Tagged::of_parts(TAG, "encpedpop seed")
        .add(host.secret.bytes().as_slice())
        .add(draw.bytes().as_slice())
        .add(&context)
        .finish_secret();
    let expanded = |tag: &str| {
        Tagged::of_parts(TAG, tag)
            .add(seed.as_slice())
            .finish_secret()
    };
    let ephemeral = Secret::from_hash(&expanded("encpedpop secnonce"))?;
    let point = ephemeral.public().serialize();
    let polynomial = Polynomial::expand(&seed, params.threshold())?;
    let possession = tagged_schnorr::sign(
        POSSESSION,
        polynomial.constant(),
        &possession_message(id, params),
        &expanded("simplpedpop aux"),
    )?;
    let mut shares = Vec::with_capacity(params.holders());
    for (to, receiver) in params.ids().zip(&params.host_keys) {
        let pad = if to == id {
            pads::to_myself(host, id, &point, &context)?
        } else {
            pads::sent(&ephemeral, &point, to, receiver, &context)?
        };
        shares.push(polynomial.share_of(to)?.plus(&pad)?.disclosed());
    }
    let commitment = Commitment(polynomial.commitments());
    let dealt = Dealt {
        params: params.clone(),
        id,
        constant: commitment.constant(),
        ephemeral: point,
    };
    let message = Deal {
        commitment,
        possession,
        ephemeral: point,
        shares,
    };
    Ok((dealt, message.bytes()))
}

impl Dealt {
    /// Second step: checks the broadcast and signs that this holder saw it. The signature goes to
    /// the coordinator. `auxiliary` is fresh randomness for it (BIP-340).
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub fn receive(
        self,
        host: &HostKey,
        broadcast: &[u8],
        auxiliary: &[u8; 32],
    ) -> Result<(Received, [u8; tagged_schnorr::BYTES]), ReceiveError> {
        if self.params.host_key(self.id) != Some(&host.public) {
            return Err(ReceiveError::OtherHostKey);
        }
        let broadcast = Broadcast::read(broadcast, &self.params)?;
        self.check_own_ephemeral(&broadcast)?;
        let pads = pads_received(host, self.id, &self.params, &broadcast.ephemerals)?;
        self.check_commitments(&broadcast)?;
        let dealt = at_place(&broadcast.shares, self.id)
            .ok_or(ReceiveError::Coordinator(CoordinatorFault::Malformed))?;
        let (commitment, tweak) = broadcast.sum().without_scripts()?;
        let public = commitment.public_share(self.id);
        let share = pads.open(dealt)?.plus_public(tweak)?;
        if Point::from(share.public()) != public {
            let untweaked = public.plus_generator_times(tweak.negated());
            return Err(ReceiveError::Share(Box::new(Suspicion::new(
                dealt, pads, untweaked,
            ))));
        }
        let group = commitment.group(self.params.ids())?;
        let transcript = broadcast.transcript(&self.params);
        let signature = tagged_schnorr::sign(
            CERTIFICATE,
            &host.secret,
            &certificate_message(self.id, &transcript, &self.params),
            auxiliary,
        )?;
        let received = Received {
            share: SigningShare::new(self.id, share),
            params: self.params,
            transcript,
            group,
        };
        Ok((received, signature))
    }

    fn check_own_ephemeral(&self, broadcast: &Broadcast) -> Result<(), ReceiveError> {
        if at_place(&broadcast.ephemerals, self.id) == Some(self.ephemeral) {
            Ok(())
        } else {
            Err(ReceiveError::Coordinator(CoordinatorFault::OtherEphemeral))
        }
    }

    /// The own constant term is the one that was sent, and every other dealer knows his.
    fn check_commitments(&self, broadcast: &Broadcast) -> Result<(), ReceiveError> {
        if at_place(&broadcast.constants, self.id) != Some(self.constant) {
            return Err(ReceiveError::Coordinator(CoordinatorFault::OtherCommitment));
        }
        for ((id, constant), possession) in self
            .params
            .ids()
            .zip(&broadcast.constants)
            .zip(&broadcast.possessions)
            .filter(|((id, _), _)| *id != self.id)
        {
            let constant = constant.finite().ok_or(ReceiveError::HolderOrCoordinator(
                id,
                HolderFault::Commitment,
            ))?;
            let message = possession_message(id, &self.params);
            tagged_schnorr::verify(POSSESSION, &constant, &message, possession)
                .map_err(|_| ReceiveError::HolderOrCoordinator(id, HolderFault::Possession))?;
        }
        Ok(())
    }
}

impl Received {
    /// Third step: with everybody's signature the key counts. Returns what the key is, this
    /// holder's share of it, and the transcript that the share can be recovered from.
    ///
    /// # Errors
    /// [`CertifyError`]. The key may come to count all the same, when somebody has a certificate.
    pub fn certify(
        self,
        certificate: &[u8],
    ) -> Result<(Group, SigningShare, Vec<u8>), CertifyError> {
        Length::check(
            certificate,
            tagged_schnorr::BYTES.saturating_mul(self.params.holders()),
        )?;
        certified(&self.params, &self.transcript, certificate)
            .map_err(|_| CertifyError::Coordinator(CoordinatorFault::Certificate))?;
        let mut transcript = self.transcript;
        transcript.extend(certificate);
        Ok((self.group, self.share, transcript))
    }
}

impl fmt::Debug for Dealt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dealt")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("id", &self.share.id())
            .finish_non_exhaustive()
    }
}

/// What a dealer signs with his constant term.
pub(super) fn possession_message(id: HolderId, params: &Params) -> Vec<u8> {
    let mut message = id.0.to_be_bytes().to_vec();
    message.extend(&params.binding);
    message
}

/// One pad for each dealer, in order.
pub(super) fn pads_received(
    host: &HostKey,
    own: HolderId,
    params: &Params,
    ephemerals: &[[u8; BYTES_OF_A_POINT]],
) -> Result<Pads, ReceiveError> {
    let context = params.context();
    let pads = params
        .ids()
        .zip(ephemerals)
        .map(|(id, ephemeral)| {
            if id == own {
                return Ok(pads::to_myself(host, own, ephemeral, &context)?);
            }
            let dealer = PublicKey::from_slice(ephemeral)
                .map_err(|_| ReceiveError::HolderOrCoordinator(id, HolderFault::Ephemeral))?;
            Ok(pads::received(host, own, &dealer, &context)?)
        })
        .collect::<Result<_, ReceiveError>>()?;
    Ok(Pads::new(own, pads))
}

pub(super) fn at_place<T: Copy>(list: &[T], id: HolderId) -> Option<T> {
    usize::try_from(id.0)
        .ok()
        .and_then(|index| list.get(index))
        .copied()
}
