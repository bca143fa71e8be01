//! The coordinator's part: sums and lists. Trusted with nothing; whoever plays it can make a
//! ceremony fail and no more.

use bitcoin::secp256k1::PublicKey;
use thiserror::Error;

use crate::{
    Group, GroupError, HolderId,
    dkg::{
        HolderFault, POSSESSION, Params,
        message::{Broadcast, Deal, Investigation, Length, ReadError},
        participant::possession_message,
        tagged_schnorr,
        transcript::certified,
    },
    scalar::{Point, Scalar},
};

/// A ceremony between broadcast and certificate, as its coordinator knows it.
#[derive(Clone, Debug)]
pub struct Coordinator {
    params: Params,
    transcript: Vec<u8>,
    group: Group,
}

/// Why a ceremony goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoordinatorError {
    /// Not one message from each holder.
    #[error("{got} messages of {expected} holders")]
    Count {
        /// Given.
        got: usize,
        /// The holders.
        expected: usize,
    },
    /// A holder's message has another length.
    #[error("holder {0} sent {1}")]
    Length(HolderId, Length),
    /// A holder's message has points or numbers that are none.
    #[error("holder {0} sent a malformed message")]
    Malformed(HolderId),
    /// A holder's message is wrong by itself, so it is his fault if he authenticated it.
    #[error("holder {0} {1}")]
    Deal(HolderId, HolderFault),
    /// A holder's signature of the certificate is wrong.
    #[error("holder {0} sent an invalid signature for the certificate")]
    Signature(HolderId),
    /// Together the deals make no key.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl Coordinator {
    /// First step: from one deal of each holder, in order, to the broadcast.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub fn collect(
        params: &Params,
        deals: &[Vec<u8>],
    ) -> Result<(Self, Vec<u8>), CoordinatorError> {
        let deals = read(params, deals)?;
        for (id, deal) in params.ids().zip(&deals) {
            check(params, id, deal).map_err(|fault| CoordinatorError::Deal(id, fault))?;
        }
        let place = |index: usize| {
            deals
                .iter()
                .filter_map(move |deal| deal.commitment.0.get(index))
                .copied()
        };
        let broadcast = Broadcast {
            constants: place(0).collect(),
            rest: (1..params.threshold())
                .map(|index| Point::sum(place(index)))
                .collect(),
            possessions: deals.iter().map(|deal| deal.possession).collect(),
            ephemerals: deals.iter().map(|deal| deal.ephemeral).collect(),
            shares: sums(params.holders(), &deals),
        };
        let (commitment, _) = broadcast.sum().without_scripts()?;
        let coordinator = Self {
            params: params.clone(),
            transcript: broadcast.transcript(params),
            group: commitment.group(params.ids())?,
        };
        Ok((coordinator, broadcast.bytes()))
    }

    /// Last step: from one signature of each holder, in order, to the certificate. Returns it, the
    /// group, and the transcript that ends with it.
    ///
    /// # Errors
    /// [`CoordinatorError`]. The other signatures stay good: a holder may send his again.
    pub fn certify(
        &self,
        signatures: &[Vec<u8>],
    ) -> Result<(Vec<u8>, Group, Vec<u8>), CoordinatorError> {
        count(&self.params, signatures)?;
        for (id, signature) in self.params.ids().zip(signatures) {
            Length::check(signature, tagged_schnorr::BYTES)
                .map_err(|length| CoordinatorError::Length(id, length))?;
        }
        let certificate = signatures.concat();
        certified(&self.params, &self.transcript, &certificate)
            .map_err(CoordinatorError::Signature)?;
        let mut transcript = self.transcript.clone();
        transcript.extend(&certificate);
        Ok((certificate, self.group.clone(), transcript))
    }
}

/// For each holder, what every deal holds for him: asked for by one whose share does not fit.
/// Nothing in it is secret.
///
/// # Errors
/// [`CoordinatorError`].
pub fn investigation(params: &Params, deals: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, CoordinatorError> {
    let deals = read(params, deals)?;
    Ok(params
        .ids()
        .enumerate()
        .map(|(place, id)| {
            Investigation {
                shares: deals
                    .iter()
                    .filter_map(|deal| deal.shares.get(place))
                    .copied()
                    .collect(),
                public_shares: deals
                    .iter()
                    .map(|deal| deal.commitment.public_share(id))
                    .collect(),
            }
            .bytes()
        })
        .collect())
}

fn count<T>(params: &Params, messages: &[T]) -> Result<(), CoordinatorError> {
    if messages.len() == params.holders() {
        Ok(())
    } else {
        Err(CoordinatorError::Count {
            got: messages.len(),
            expected: params.holders(),
        })
    }
}

fn read(params: &Params, deals: &[Vec<u8>]) -> Result<Vec<Deal>, CoordinatorError> {
    count(params, deals)?;
    params
        .ids()
        .zip(deals)
        .map(|(id, deal)| {
            Deal::read(deal, params).map_err(|error| match error {
                ReadError::Length(length) => CoordinatorError::Length(id, length),
                ReadError::Malformed(_) => CoordinatorError::Malformed(id),
            })
        })
        .collect()
}

/// What every holder will check of this deal; found here, it costs no broadcast.
fn check(params: &Params, id: HolderId, deal: &Deal) -> Result<(), HolderFault> {
    PublicKey::from_slice(&deal.ephemeral).map_err(|_| HolderFault::Ephemeral)?;
    let constant = deal
        .commitment
        .constant()
        .finite()
        .ok_or(HolderFault::Commitment)?;
    let message = possession_message(id, params);
    tagged_schnorr::verify(POSSESSION, &constant, &message, &deal.possession)
        .map_err(|_| HolderFault::Possession)
}

fn sums(holders: usize, deals: &[Deal]) -> Vec<Scalar> {
    (0..holders)
        .map(|place| {
            deals
                .iter()
                .filter_map(|deal| deal.shares.get(place))
                .fold(Scalar::ZERO, |sum, share| sum.plus(*share))
        })
        .collect()
}
