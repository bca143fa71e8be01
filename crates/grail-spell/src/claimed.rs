//! A state that a valid spell shows, and that nothing else vouches for.

/// What a valid spell says, and anybody can have had proven.
///
/// A spell's proof shows that contracts agreed. It shows neither consent nor inclusion: no
/// signature, no witness and no block goes into it, and the outputs that it spends need not exist.
/// So with a valid proof and without any operator anybody shows the real roster NFT rotated to his
/// own roster, or a second deployment of the same identity, in a transaction that no block will
/// ever hold.
///
/// One use is safe: to sign with it. A signature commits to the transaction whose output it spends;
/// if that transaction is not on the chain, the signature is worthless. Nothing else may rest on a
/// claimed state alone: not the choice of whom to trust, not a sealed key, not an address. That
/// takes the witness of the transaction that made the state, checked against the state before it,
/// or the block that it is in; whoever has the transaction from a node that has it in a block reads
/// its charms (`roster_state` in `grail-charms`).
///
/// So there are two ways to open it, each named after what its caller answers for:
/// [`Self::for_signing`] and [`Self::with_consent_shown`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Claimed<T>(T);

impl<T> Claimed<T> {
    pub(crate) fn new(claimed: T) -> Self {
        Self(claimed)
    }

    /// The state, for whoever decides with it about a signature of the very transaction that spends
    /// the output that carries it, or that makes it. For nobody else.
    pub fn for_signing(self) -> T {
        self.0
    }

    /// The state, for whoever has shown that those consented to its transaction who could: a quorum
    /// of the roster before it by its witness, or whoever adopts by pinning its id. That it is in a
    /// block is still not shown.
    pub fn with_consent_shown(self) -> T {
        self.0
    }
}
