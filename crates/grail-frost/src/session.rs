//! One signature: from the sums of nonces to shares, and from shares to the signature.

use bitcoin::secp256k1::{Message, PublicKey, schnorr::Signature};
use thiserror::Error;

use crate::{
    AggregateNonce, HolderId, OutputKey, PublicNonce, SecretNonce, SignatureShare, SignerSet,
    SigningShare, Vanished,
    hash::Tagged,
    scalar::{Point, Scalar, curve, generator, is_odd, x_of},
};

/// What all signers of one signature compute alike: signer set, output key, message, sums of
/// nonces, and the challenge that follows from them (BIP-445's session context).
#[derive(Clone, Debug)]
pub struct Session<'a> {
    signers: &'a SignerSet,
    key: &'a OutputKey,
    message: &'a [u8],
    /// Weighs the second nonces; binds signers, sums, output key and message.
    coefficient: Scalar,
    nonce: PublicKey,
    challenge: Scalar,
}

/// Why there is no such session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// A hash came out as zero.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

/// Why a signer makes no share. The nonce is gone all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The set has other public shares.
    #[error("the signer's public share is not among those of the signers")]
    ShareNotAmongThem,
    /// The set lacks this holder.
    #[error("holder {0} is not among the signers")]
    NotAmongThem(HolderId),
    /// Negligible.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

/// Why a share counts as wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShareFault {
    /// Nobody asked.
    #[error("holder {0} is not among the signers")]
    NotAmongThem(HolderId),
    /// Not the share that this nonce and public share demand.
    #[error("the share of holder {0} is wrong")]
    Wrong(HolderId),
}

/// Why shares make no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CombineError {
    /// Not one from each.
    #[error("{got} shares of {expected} signers")]
    Count {
        /// Given.
        got: usize,
        /// The signers.
        expected: usize,
    },
    /// At least one is wrong: [`Session::verify`] says whose.
    #[error("the shares make no valid signature")]
    Invalid,
}

impl<'a> Session<'a> {
    /// A session for a 32-byte message.
    ///
    /// # Errors
    /// [`SessionError`], with negligible probability.
    pub fn new(
        signers: &'a SignerSet,
        key: &'a OutputKey,
        aggregate: &AggregateNonce,
        message: &'a [u8; 32],
    ) -> Result<Self, SessionError> {
        Self::of_any_message(signers, key, aggregate, message)
    }

    /// BIP-445's `GetSessionValues`; the draft allows messages of any length.
    pub(crate) fn of_any_message(
        signers: &'a SignerSet,
        key: &'a OutputKey,
        aggregate: &AggregateNonce,
        message: &'a [u8],
    ) -> Result<Self, SessionError> {
        let coefficient = Scalar::from_hash(
            Tagged::new("BIP0445/noncecoef")
                .add(&signers.id_bytes())
                .add(&aggregate.to_bytes())
                .add(&key.x())
                .add(message)
                .finish(),
        );
        let sum = aggregate.first.plus(aggregate.second.times(coefficient));
        let nonce = sum.finite().or(generator().finite()).ok_or(Vanished)?;
        let challenge = Scalar::from_hash(
            Tagged::new("BIP0340/challenge")
                .add(&x_of(&nonce))
                .add(&key.x())
                .add(message)
                .finish(),
        );
        if coefficient == Scalar::ZERO || challenge == Scalar::ZERO {
            return Err(Vanished.into());
        }
        Ok(Self {
            signers,
            key,
            message,
            coefficient,
            nonce,
            challenge,
        })
    }

    /// This signer's share (BIP-445's `Sign`). The share is not verified: ADR 35.
    ///
    /// # Errors
    /// [`SignError`]. The nonce is consumed in every case.
    pub fn sign(
        &self,
        share: &SigningShare,
        nonce: SecretNonce,
    ) -> Result<SignatureShare, SignError> {
        if !self.signers.holds(&share.public()) {
            return Err(SignError::ShareNotAmongThem);
        }
        let (public, coefficient) = self
            .signers
            .member(share.id())
            .ok_or(SignError::NotAmongThem(share.id()))?;
        if public != share.public() {
            return Err(SignError::ShareNotAmongThem);
        }
        let SecretNonce { first, second } = nonce;
        let nonce = second
            .times_public(self.coefficient)?
            .plus(&first)?
            .negated_if(is_odd(&self.nonce));
        let answer = nonce.plus(&share.times(self.weight(coefficient))?)?;
        Ok(SignatureShare(answer.disclosed()))
    }

    /// Whether this share is what its signer owes, given his public nonce (BIP-445's
    /// `PartialSigVerify`).
    ///
    /// # Errors
    /// [`ShareFault`].
    pub fn verify(
        &self,
        id: HolderId,
        nonce: &PublicNonce,
        share: &SignatureShare,
    ) -> Result<(), ShareFault> {
        let (public, coefficient) = self
            .signers
            .member(id)
            .ok_or(ShareFault::NotAmongThem(id))?;
        let nonce = Point::from(nonce.first)
            .plus(Point::from(nonce.second).times(self.coefficient))
            .negated_if(is_odd(&self.nonce));
        let owed = nonce.plus(Point::from(public).times(self.weight(coefficient)));
        // Zero is compared as infinity, without a second multiplication of the generator.
        if owed.plus_generator_times(share.0.negated()) == Point::INFINITY {
            Ok(())
        } else {
            Err(ShareFault::Wrong(id))
        }
    }

    /// The signature that one share of each signer makes (BIP-445's `PartialSigAgg`), verified.
    ///
    /// # Errors
    /// [`CombineError`].
    pub fn combine(&self, shares: &[SignatureShare]) -> Result<Signature, CombineError> {
        let signature = self.summed(shares)?;
        let (key, _) = self.key.x_only_key();
        let message =
            Message::from_digest_slice(self.message).map_err(|_| CombineError::Invalid)?;
        curve()
            .verify_schnorr(&signature, &message, &key)
            .map_err(|_| CombineError::Invalid)?;
        Ok(signature)
    }

    /// The sum, unverified.
    pub(crate) fn summed(&self, shares: &[SignatureShare]) -> Result<Signature, CombineError> {
        if shares.len() != self.signers.ids().len() {
            return Err(CombineError::Count {
                got: shares.len(),
                expected: self.signers.ids().len(),
            });
        }
        let tweaks = self.challenge.times(self.key.addition());
        let answer = shares.iter().fold(tweaks, |sum, share| sum.plus(share.0));
        let mut bytes = [0; 64];
        let halves = x_of(&self.nonce).into_iter().chain(answer.to_bytes());
        for (to, from) in bytes.iter_mut().zip(halves) {
            *to = from;
        }
        Signature::from_slice(&bytes).map_err(|_| CombineError::Invalid)
    }

    /// What a share counts for, given its interpolation coefficient.
    fn weight(&self, coefficient: Scalar) -> Scalar {
        self.challenge
            .times(coefficient)
            .negated_if(self.key.shares_negated())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use zeroize::Zeroizing;

    use super::*;
    use crate::{scalar::Secret, share::SigningShare};

    fn scalar(value: u32) -> Scalar {
        Scalar::from_u32(value)
    }

    fn secret(value: Scalar) -> Secret {
        Secret::from_hash(&Zeroizing::new(value.to_bytes())).unwrap()
    }

    /// Determinant of three columns.
    fn determinant([a, b, c]: [[Scalar; 3]; 3]) -> Scalar {
        let minor = |i: usize, j: usize| b[i].times(c[j]).plus(b[j].times(c[i]).negated());
        a[0].times(minor(1, 2))
            .plus(a[1].times(minor(0, 2)).negated())
            .plus(a[2].times(minor(0, 1)))
    }

    /// Why a nonce is taken by value and a session leaves the table first: three answers with one
    /// nonce pair, to sums that the coordinator chose, are three equations in two nonces and the
    /// share. This is what a host that rewinds memory does; the test would see a copy of a nonce.
    #[test]
    fn a_nonce_used_three_times_gives_the_share_away() {
        let (group, rise) = (scalar(123_456_789), scalar(987_654_321));
        let share_at = |id: u32| group.plus(rise.times(scalar(id + 1)));
        let key = secret(group).public();
        let ids = [HolderId(0), HolderId(1)];
        let shares: Vec<_> = ids
            .iter()
            .map(|id| secret(share_at(id.0)).public().serialize())
            .collect();
        let signers = SignerSet::new(3, 2, &ids, &shares, &key).unwrap();
        let output = OutputKey::untweaked(key);
        let share = SigningShare::new(ids[0], secret(share_at(0)));
        let (first, second) = (secret(scalar(1_111)), secret(scalar(2_222)));
        let mut columns = [[Scalar::ZERO; 3]; 3];
        let mut answers = [Scalar::ZERO; 3];
        for (row, other) in (0_u32..3).zip(&mut answers) {
            let (nonce, public) = SecretNonce::of_halves(first.duplicate(), second.duplicate());
            let (_, foreign) =
                SecretNonce::of_halves(secret(scalar(50 + row)), secret(scalar(60 + row)));
            let aggregate = AggregateNonce::sum(&[public, foreign]);
            let session = Session::new(&signers, &output, &aggregate, &[7; 32]).unwrap();
            *other = session.sign(&share, nonce).unwrap().0;
            let (_, coefficient) = signers.member(ids[0]).unwrap();
            let odd = is_odd(&session.nonce);
            let row = row as usize;
            columns[0][row] = Scalar::ONE.negated_if(odd);
            columns[1][row] = session.coefficient.negated_if(odd);
            columns[2][row] = session.weight(coefficient);
        }
        let whole = determinant(columns);
        let [one, two, _] = columns;
        let extracted = determinant([one, two, answers]).times(whole.inverse());
        assert_eq!(extracted, share_at(0));
    }

    #[test]
    fn a_share_under_anothers_number_does_not_sign() {
        let share_at = |id: u32| scalar(10).plus(scalar(7).times(scalar(id + 1)));
        let ids = [HolderId(0), HolderId(1)];
        let shares: Vec<_> = ids
            .iter()
            .map(|id| secret(share_at(id.0)).public().serialize())
            .collect();
        let signers = SignerSet::new(3, 2, &ids, &shares, &secret(scalar(10)).public()).unwrap();
        let output = OutputKey::untweaked(signers.key());
        let nonce = || SecretNonce::of_halves(secret(scalar(5)), secret(scalar(6)));
        let aggregate = AggregateNonce::sum(&[nonce().1]);
        let session = Session::new(&signers, &output, &aggregate, &[7; 32]).unwrap();
        let sign = |id: u32, of: u32| {
            session.sign(
                &SigningShare::new(HolderId(id), secret(share_at(of))),
                nonce().0,
            )
        };
        sign(1, 1).unwrap();
        assert_eq!(sign(1, 0), Err(SignError::ShareNotAmongThem));
        assert_eq!(sign(2, 2), Err(SignError::ShareNotAmongThem));
        assert_eq!(sign(2, 1), Err(SignError::NotAmongThem(HolderId(2))));
    }
}
