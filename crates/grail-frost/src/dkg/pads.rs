//! What shares are encrypted with: one pad for each pair of sender and receiver, added modulo the
//! group order, so that the coordinator can sum what it cannot read.

use bitcoin::secp256k1::PublicKey;

use crate::{
    BYTES_OF_A_POINT, HolderId, Vanished,
    dkg::{HostKey, TAG},
    hash::Tagged,
    scalar::{Scalar, Secret},
};

/// The pad from a dealer to another holder, by the dealer.
pub(super) fn sent(
    secret: &Secret,
    public: &[u8; BYTES_OF_A_POINT],
    to: HolderId,
    receiver: &PublicKey,
    context: &[u8],
) -> Result<Secret, Vanished> {
    let shared = secret.shared_with(receiver);
    pad(&shared, public, to, receiver, context)
}

/// The same pad, by its receiver. `dealer` is the ephemeral point as it was sent.
pub(super) fn received(
    host: &HostKey,
    id: HolderId,
    dealer: &PublicKey,
    context: &[u8],
) -> Result<Secret, Vanished> {
    let shared = host.secret.shared_with(dealer);
    pad(&shared, &dealer.serialize(), id, &host.public, context)
}

/// The pad from a holder to himself: no Diffie-Hellman, so nothing on the host key's square.
pub(super) fn to_myself(
    host: &HostKey,
    id: HolderId,
    ephemeral: &[u8; BYTES_OF_A_POINT],
    context: &[u8],
) -> Result<Secret, Vanished> {
    Secret::from_hash(
        &Tagged::of_parts(TAG, "encaps_multi self_pad")
            .add(host.secret.bytes().as_slice())
            .add(ephemeral)
            .add(&id.0.to_be_bytes())
            .add(context)
            .finish_secret(),
    )
}

fn pad(
    shared: &[u8; 32],
    dealer: &[u8; BYTES_OF_A_POINT],
    to: HolderId,
    receiver: &PublicKey,
    context: &[u8],
) -> Result<Secret, Vanished> {
    Secret::from_hash(
        &Tagged::of_parts(TAG, "encpedpop ecdh")
            .add(shared)
            .add(dealer)
            .add(&receiver.serialize())
            .add(&to.0.to_be_bytes())
            .add(context)
            .finish_secret(),
    )
}

/// What one holder takes off the sum of what all dealt to him; in the dealers' order.
pub(super) struct Pads {
    own: HolderId,
    all: Vec<Secret>,
}

impl Pads {
    pub(super) fn new(own: HolderId, all: Vec<Secret>) -> Self {
        Self { own, all }
    }

    pub(super) fn own(&self) -> HolderId {
        self.own
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (HolderId, &Secret)> {
        (0..).zip(&self.all).map(|(id, pad)| (HolderId(id), pad))
    }

    /// A sum of shares without its pads. The pad to oneself comes first: nobody else knows it, so
    /// nobody can aim at zero on the way.
    pub(super) fn open(&self, dealt: Scalar) -> Result<Secret, Vanished> {
        let (_, own) = self
            .each()
            .find(|(id, _)| *id == self.own)
            .ok_or(Vanished)?;
        let mut sum = own.duplicate();
        for (_, pad) in self.each().filter(|(id, _)| *id != self.own) {
            sum = sum.plus(pad)?;
        }
        sum.negated().plus_public(dealt)
    }
}
