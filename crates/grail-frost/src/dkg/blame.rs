//! Who dealt a share that does not fit: the coordinator shows what each dealt, and one of them, or
//! the coordinator, is caught. Advisory: a coordinator can change a holder's message and so his
//! name is "this holder or the coordinator". Never shows a secret.

use std::fmt;

use thiserror::Error;

use crate::{
    HolderId,
    dkg::{
        CoordinatorFault, HolderFault,
        message::{Investigation, Length, ReadError},
        pads::Pads,
    },
    scalar::{Point, Scalar},
};

/// What a holder keeps of a broadcast whose share did not fit.
pub struct Suspicion {
    own: HolderId,
    /// The sum of what all dealt, under the pads.
    dealt: Scalar,
    pads: Pads,
    /// What the share should be the logarithm of, before the tweak.
    public: Point,
}

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Culprit {
    /// The coordinator alone.
    #[error("the coordinator {0}")]
    Coordinator(CoordinatorFault),
    /// This holder, or the coordinator in his name.
    #[error("holder {0}, or the coordinator in his name, {1}")]
    HolderOrCoordinator(HolderId, HolderFault),
}

/// Why an investigation names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvestigateError {
    /// Of the message.
    #[error(transparent)]
    Length(#[from] Length),
    /// Everything fits now, so it was not of this broadcast.
    #[error("the investigation shows no fault")]
    Consistent,
}

impl fmt::Debug for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspicion")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Suspicion {
    pub(super) fn new(dealt: Scalar, pads: Pads, public: Point) -> Self {
        Self {
            own: pads.own(),
            dealt,
            pads,
            public,
        }
    }

    /// Names the culprit, from what [`crate::dkg::investigation`] made for this holder. By value:
    /// what it compares secrets with is asked once.
    ///
    /// # Errors
    /// [`InvestigateError`].
    pub fn investigate(self, investigation: &[u8]) -> Result<Culprit, InvestigateError> {
        let investigation = match Investigation::read(investigation, self.pads.each().count()) {
            Ok(investigation) => investigation,
            Err(ReadError::Length(length)) => return Err(length.into()),
            Err(ReadError::Malformed(_)) => {
                return Ok(Culprit::Coordinator(CoordinatorFault::Malformed));
            }
        };
        if Point::sum(investigation.public_shares.iter().copied()) != self.public {
            return Ok(Culprit::Coordinator(CoordinatorFault::PublicShareSum));
        }
        let sum = investigation
            .shares
            .iter()
            .fold(Scalar::ZERO, |sum, share| sum.plus(*share));
        if sum != self.dealt {
            return Ok(Culprit::Coordinator(CoordinatorFault::ShareSum));
        }
        for (((id, pad), share), public) in self
            .pads
            .each()
            .zip(&investigation.shares)
            .zip(&investigation.public_shares)
        {
            // A dealer knows his pad and can deal zero: that is infinity, and compared as such.
            let actual = pad
                .duplicate()
                .negated()
                .plus_public(*share)
                .map_or(Point::INFINITY, |share| share.public().into());
            if actual != *public {
                return Ok(if id == self.own {
                    Culprit::Coordinator(CoordinatorFault::ShareToMyself)
                } else {
                    Culprit::HolderOrCoordinator(id, HolderFault::Share)
                });
            }
        }
        Err(InvestigateError::Consistent)
    }
}
