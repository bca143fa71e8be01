//! The public transcript of a ceremony with everybody's signatures, and the share that an
//! operator's key makes of it.

use thiserror::Error;

use crate::{
    BYTES_OF_A_POINT, Group, GroupError, HolderId, Malformed, SigningShare, Vanished,
    dkg::{
        CERTIFICATE, CERTIFICATE_PREFIX, HostKey, Params, ParamsError,
        commitment::Commitment,
        message::Reader,
        participant::{at_place, pads_received},
        tagged_schnorr,
    },
    scalar::{Point, Scalar},
};

/// Bytes for each holder: host key, ephemeral point, share, signature.
const BYTES_OF_A_HOLDER: usize = 2 * BYTES_OF_A_POINT + 32 + tagged_schnorr::BYTES;

/// Why a transcript makes no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// Not a transcript.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Of parameters that nobody may have.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Of other holders or another threshold than expected.
    #[error("the transcript is of other parameters")]
    OtherParams,
    /// This holder did not sign it, so it may never have been seen by him.
    #[error("holder {0} did not sign this transcript of this ceremony")]
    Certificate(HolderId),
    /// The key is nobody's here.
    #[error("the host key is none of the holders'")]
    NotAHolder,
    /// All signed, yet the share does not fit: whoever signed for this holder was not this code.
    #[error("the share does not fit the commitments")]
    Share,
    /// The key is none.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Negligible.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

/// The group that a transcript proves, given what ceremony it must be of: every holder's signature
/// is checked.
///
/// # Errors
/// [`RecoverError`].
pub fn verify(params: &Params, transcript: &[u8]) -> Result<Group, RecoverError> {
    let parsed = Parsed::read(transcript)?;
    if parsed.params()?.bytes() != params.bytes() {
        return Err(RecoverError::OtherParams);
    }
    parsed.check(params, transcript)?;
    let (commitment, _) = parsed.commitment.without_scripts()?;
    Ok(commitment.group(params.ids())?)
}

/// The group, and this operator's share of its key. His own signature is among those checked: a
/// transcript that he never saw is refused.
///
/// # Errors
/// [`RecoverError`].
pub fn recover(
    host: &HostKey,
    params: &Params,
    transcript: &[u8],
) -> Result<(Group, SigningShare), RecoverError> {
    let group = verify(params, transcript)?;
    let id = params.id_of(host).ok_or(RecoverError::NotAHolder)?;
    let parsed = Parsed::read(transcript)?;
    let (_, tweak) = parsed.commitment.without_scripts()?;
    let pads =
        pads_received(host, id, params, &parsed.ephemerals).map_err(|_| RecoverError::Share)?;
    let dealt = at_place(&parsed.shares, id).ok_or(Malformed)?;
    let share = SigningShare::new(id, pads.open(dealt)?.plus_public(tweak)?);
    if at_place(group.public_shares(), id) != Some(share.public()) {
        return Err(RecoverError::Share);
    }
    Ok((group, share))
}

/// What each holder signs.
pub(super) fn certificate_message(id: HolderId, transcript: &[u8], params: &Params) -> Vec<u8> {
    let mut message = CERTIFICATE_PREFIX.to_vec();
    message.extend(id.0.to_be_bytes());
    message.extend(transcript);
    message.extend(&params.binding);
    message
}

/// All signatures are good, or whose is not.
pub(super) fn certified(
    params: &Params,
    transcript: &[u8],
    certificate: &[u8],
) -> Result<(), HolderId> {
    let mut reader = Reader(certificate);
    for (id, key) in params.ids().zip(&params.host_keys) {
        let signature = reader.take().map_err(|_| id)?;
        let message = certificate_message(id, transcript, params);
        tagged_schnorr::verify(CERTIFICATE, key, &message, &signature).map_err(|_| id)?;
    }
    Ok(())
}

pub(super) struct Parsed {
    threshold: usize,
    commitment: Commitment,
    host_keys: Vec<[u8; BYTES_OF_A_POINT]>,
    ephemerals: Vec<[u8; BYTES_OF_A_POINT]>,
    shares: Vec<Scalar>,
    certificate: Vec<u8>,
}

impl Parsed {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let threshold =
            usize::try_from(u32::from_be_bytes(reader.take()?)).map_err(|_| Malformed)?;
        // Bounded by the bytes at hand before anything is allocated for them.
        if threshold > reader.0.len() / BYTES_OF_A_POINT {
            return Err(Malformed);
        }
        let terms: Vec<Point> = reader.points(threshold)?;
        if !reader.0.len().is_multiple_of(BYTES_OF_A_HOLDER) {
            return Err(Malformed);
        }
        let holders = reader.0.len() / BYTES_OF_A_HOLDER;
        Ok(Self {
            threshold,
            commitment: Commitment(terms),
            host_keys: reader.raw(holders)?,
            ephemerals: reader.raw(holders)?,
            shares: reader.scalars(holders)?,
            certificate: reader.0.to_vec(),
        })
    }

    /// As the transcript says them, without a ceremony.
    pub(super) fn params(&self) -> Result<Params, ParamsError> {
        Params::of_draft(&self.host_keys, self.threshold)
    }

    fn check(&self, params: &Params, transcript: &[u8]) -> Result<(), RecoverError> {
        let signed = transcript
            .len()
            .checked_sub(self.certificate.len())
            .and_then(|length| transcript.get(..length))
            .ok_or(Malformed)?;
        certified(params, signed, &self.certificate).map_err(RecoverError::Certificate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Draw, dkg::Coordinator, dkg::deal, hash::Tagged, scalar::Secret};

    /// Everybody signed a transcript whose share for one holder is off by one: only code that does
    /// not check its share can have signed for him, and the share is not taken.
    #[test]
    fn a_certified_share_that_does_not_fit_is_refused() {
        let hosts: Vec<HostKey> = (0..3_u8)
            .map(|id| {
                HostKey::as_it_is(
                    Secret::from_hash(&Tagged::new("").add(&[id]).finish_secret()).unwrap(),
                )
            })
            .collect();
        let keys: Vec<_> = hosts.iter().map(|host| host.public.serialize()).collect();
        let params = Params::of_draft(&keys, 2).unwrap();
        let (dealt, deals): (Vec<_>, Vec<_>) = (1..)
            .zip(&hosts)
            .map(|(byte, host)| deal(host, &params, Draw::new([byte; 32]).unwrap()).unwrap())
            .unzip();
        let (coordinator, broadcast) = Coordinator::collect(&params, &deals).unwrap();
        let signatures: Vec<Vec<u8>> = dealt
            .into_iter()
            .zip(&hosts)
            .map(|(dealt, host)| {
                dealt
                    .receive(host, &broadcast, &[1; 32])
                    .unwrap()
                    .1
                    .to_vec()
            })
            .collect();
        let (certificate, _, mut transcript) = coordinator.certify(&signatures).unwrap();
        recover(&hosts[1], &params, &transcript).unwrap();
        transcript.truncate(transcript.len() - certificate.len());
        // The last byte of the second of three shares.
        let at = transcript.len() - 33;
        transcript[at] ^= 1;
        let signed = transcript.clone();
        for (id, host) in params.ids().zip(&hosts) {
            let message = certificate_message(id, &signed, &params);
            transcript.extend(
                tagged_schnorr::sign(CERTIFICATE, &host.secret, &message, &[2; 32]).unwrap(),
            );
        }
        recover(&hosts[0], &params, &transcript).unwrap();
        assert_eq!(
            recover(&hosts[1], &params, &transcript).err(),
            Some(RecoverError::Share)
        );
    }
}
