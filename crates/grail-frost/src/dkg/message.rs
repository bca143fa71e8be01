//! What holders and coordinator send each other, in ChillDKG's encoding: fixed lengths that follow
//! from the parameters, nothing else accepted.

use thiserror::Error;

use crate::{
    BYTES_OF_A_POINT, Malformed,
    dkg::{Params, commitment::Commitment, tagged_schnorr},
    scalar::{Point, Scalar},
};

/// Not as long as the parameters demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{got} bytes; expected {expected}")]
pub struct Length {
    /// Given.
    pub got: usize,
    /// From the parameters.
    pub expected: usize,
}

impl Length {
    pub(super) fn check(bytes: &[u8], expected: usize) -> Result<(), Self> {
        if bytes.len() == expected {
            Ok(())
        } else {
            Err(Self {
                got: bytes.len(),
                expected,
            })
        }
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Length(#[from] Length),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Takes fields off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn list<const N: usize, T>(
        &mut self,
        count: usize,
        read: impl Fn(&[u8; N]) -> Option<T>,
    ) -> Result<Vec<T>, Malformed> {
        (0..count)
            .map(|_| read(&self.take()?).ok_or(Malformed))
            .collect()
    }

    pub(super) fn points(&mut self, count: usize) -> Result<Vec<Point>, Malformed> {
        self.list(count, Point::from_bytes)
    }

    pub(super) fn scalars(&mut self, count: usize) -> Result<Vec<Scalar>, Malformed> {
        self.list(count, Scalar::from_bytes)
    }

    /// As they are: who made them is blamed later, by place.
    pub(super) fn raw<const N: usize>(&mut self, count: usize) -> Result<Vec<[u8; N]>, Malformed> {
        self.list(count, |bytes| Some(*bytes))
    }
}

pub(super) fn scalar_bytes(scalars: &[Scalar]) -> Vec<u8> {
    scalars
        .iter()
        .flat_map(|scalar| scalar.to_bytes())
        .collect()
}

/// From a holder to the coordinator, first.
pub(super) struct Deal {
    pub(super) commitment: Commitment,
    pub(super) possession: [u8; tagged_schnorr::BYTES],
    pub(super) ephemeral: [u8; BYTES_OF_A_POINT],
    /// One for each holder, under its pad.
    pub(super) shares: Vec<Scalar>,
}

impl Deal {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.commitment.bytes();
        bytes.extend(self.possession);
        bytes.extend(self.ephemeral);
        bytes.extend(scalar_bytes(&self.shares));
        bytes
    }

    /// `33 t + 97 + 32 n` bytes.
    pub(super) fn read(bytes: &[u8], params: &Params) -> Result<Self, ReadError> {
        let (n, t) = (params.holders(), params.threshold());
        Length::check(bytes, 33 * t + 97 + 32 * n)?;
        let mut reader = Reader(bytes);
        Ok(Self {
            commitment: Commitment(reader.points(t)?),
            possession: reader.take()?,
            ephemeral: reader.take()?,
            shares: reader.scalars(n)?,
        })
    }
}

/// From the coordinator to all.
pub(super) struct Broadcast {
    /// Each holder's constant term, for the proofs of possession.
    pub(super) constants: Vec<Point>,
    /// The other terms, summed.
    pub(super) rest: Vec<Point>,
    pub(super) possessions: Vec<[u8; tagged_schnorr::BYTES]>,
    pub(super) ephemerals: Vec<[u8; BYTES_OF_A_POINT]>,
    /// For each holder, the sum of what all dealt to him.
    pub(super) shares: Vec<Scalar>,
}

impl Broadcast {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for point in self.constants.iter().chain(&self.rest) {
            bytes.extend(point.to_bytes());
        }
        bytes.extend(self.possessions.iter().flatten());
        bytes.extend(self.ephemerals.iter().flatten());
        bytes.extend(scalar_bytes(&self.shares));
        bytes
    }

    /// `162 n + 33 (t - 1)` bytes.
    pub(super) fn read(bytes: &[u8], params: &Params) -> Result<Self, ReadError> {
        let (n, t) = (params.holders(), params.threshold());
        let rest = t.saturating_sub(1);
        Length::check(bytes, 162 * n + 33 * rest)?;
        let mut reader = Reader(bytes);
        Ok(Self {
            constants: reader.points(n)?,
            rest: reader.points(rest)?,
            possessions: reader.raw(n)?,
            ephemerals: reader.raw(n)?,
            shares: reader.scalars(n)?,
        })
    }

    /// The commitment to the sum of all polynomials.
    pub(super) fn sum(&self) -> Commitment {
        let mut terms = vec![Point::sum(self.constants.iter().copied())];
        terms.extend(&self.rest);
        Commitment(terms)
    }

    /// What all must agree on and what a share is recovered from: threshold, summed commitment,
    /// host keys, ephemeral points, shares under pads.
    pub(super) fn transcript(&self, params: &Params) -> Vec<u8> {
        let mut bytes = params.threshold_bytes().to_vec();
        bytes.extend(self.sum().bytes());
        for key in &params.host_keys {
            bytes.extend(key.serialize());
        }
        bytes.extend(self.ephemerals.iter().flatten());
        bytes.extend(scalar_bytes(&self.shares));
        bytes
    }
}

/// From the coordinator to one holder whose share does not fit: what each dealt to him.
pub(super) struct Investigation {
    pub(super) shares: Vec<Scalar>,
    pub(super) public_shares: Vec<Point>,
}

impl Investigation {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = scalar_bytes(&self.shares);
        bytes.extend(self.public_shares.iter().flat_map(|share| share.to_bytes()));
        bytes
    }

    /// `65 n` bytes.
    pub(super) fn read(bytes: &[u8], holders: usize) -> Result<Self, ReadError> {
        Length::check(bytes, 65 * holders)?;
        let mut reader = Reader(bytes);
        Ok(Self {
            shares: reader.scalars(holders)?,
            public_shares: reader.points(holders)?,
        })
    }
}
