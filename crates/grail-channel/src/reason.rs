//! Why channels close: a closed set.

use thiserror::Error;

/// Why a channel is closed. Each has a stable number, which goes over the wire, and a stable word,
/// for logs and metrics.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Bytes that are no message of the handshake, or another version of the encoding.
    #[error("the message is no message of the handshake, or of another version")]
    Malformed,
    /// A frame longer than what is expected in its place.
    #[error("a frame is longer than what is expected in its place")]
    FrameTooLong,
    /// A suite that is not spoken here.
    #[error("expected suite 1")]
    Suite,
    /// Another bridge or network.
    #[error("the peer is of another bridge or network")]
    BridgeDiffers,
    /// Another epoch: one of the two is behind.
    #[error("the peer goes by another epoch")]
    EpochDiffers,
    /// Other parameters within one epoch.
    #[error("the peer goes by other parameters")]
    ParamsDiffer,
    /// An operator that is not let in.
    #[error("the peer is no member")]
    NotAMember,
    /// A hello to another operator.
    #[error("the hello is for another operator")]
    NotForUs,
    /// An answer from another operator than the one that was dialled.
    #[error("another operator answered than was dialled")]
    OtherOperator,
    /// Our own words, sent back.
    #[error("the peer claims to be this very instance")]
    Reflected,
    /// A cookie that was not made here, for this address and hello, of late.
    #[error("the cookie is not one that was made for this hello, of late")]
    Cookie,
    /// No valid public key or ciphertext.
    #[error("the key agreement failed")]
    Agreement,
    /// A frame that does not open under the next counter: altered, injected, replayed, out of
    /// order, or another's.
    #[error("a frame is not the authentic next one")]
    NotAuthentic,
    /// An authentic frame that makes no sense.
    #[error("an authentic frame is malformed")]
    FrameMalformed,
    /// A message in a place where none may be.
    #[error("a message came out of turn")]
    OutOfTurn,
    /// The signer key did not sign the statement.
    #[error("the signer key's signature does not verify")]
    SignerSignature,
    /// The instance key did not sign the statement.
    #[error("the instance key's signature does not verify")]
    InstanceSignature,
    /// Evidence that does not verify, or says something else.
    #[error("evidence refused: {0}")]
    Evidence(&'static str),
    /// This end's proof was not to be had, or does not fit a frame.
    #[error("this end could not make its proof")]
    NoProof,
    /// A message that is longer than any.
    #[error("a message is too long")]
    MessageTooLong,
    /// The handshake took too long.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// Nothing authentic was heard for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// The channel's time is over.
    #[error("the channel is too old")]
    TooOld,
    /// The stream ended without a farewell.
    #[error("the stream ended without a farewell")]
    Truncated,
    /// This end was told to close.
    #[error("closed by this end")]
    Closed,
    /// The peer said farewell, with its reason's number.
    #[error("closed by the peer, reason {0}")]
    ByPeer(u8),
    /// Somebody said that the peer refuses, before there were keys: nobody's word.
    #[error("refused before keys were agreed on, reason {0}")]
    Refused(u8),
}

impl Reason {
    /// Its number on the wire; never given to another.
    pub const fn number(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::FrameTooLong => 2,
            Self::Suite => 3,
            Self::BridgeDiffers => 4,
            Self::EpochDiffers => 5,
            Self::ParamsDiffer => 6,
            Self::NotAMember => 7,
            Self::NotForUs => 8,
            Self::OtherOperator => 9,
            Self::Reflected => 10,
            Self::Cookie => 11,
            Self::Agreement => 12,
            Self::NotAuthentic => 13,
            Self::FrameMalformed => 14,
            Self::OutOfTurn => 15,
            Self::SignerSignature => 16,
            Self::InstanceSignature => 17,
            Self::Evidence(_) => 18,
            Self::NoProof => 19,
            Self::MessageTooLong => 20,
            Self::HandshakeTimeout => 21,
            Self::Silent => 22,
            Self::TooOld => 23,
            Self::Truncated => 24,
            Self::Closed => 25,
            Self::ByPeer(_) => 26,
            Self::Refused(_) => 27,
        }
    }

    /// A stable word for logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::FrameTooLong => "frame-too-long",
            Self::Suite => "suite",
            Self::BridgeDiffers => "bridge-differs",
            Self::EpochDiffers => "epoch-differs",
            Self::ParamsDiffer => "params-differ",
            Self::NotAMember => "not-a-member",
            Self::NotForUs => "not-for-us",
            Self::OtherOperator => "other-operator",
            Self::Reflected => "reflected",
            Self::Cookie => "cookie",
            Self::Agreement => "agreement",
            Self::NotAuthentic => "not-authentic",
            Self::FrameMalformed => "frame-malformed",
            Self::OutOfTurn => "out-of-turn",
            Self::SignerSignature => "signer-signature",
            Self::InstanceSignature => "instance-signature",
            Self::Evidence(_) => "evidence",
            Self::NoProof => "no-proof",
            Self::MessageTooLong => "message-too-long",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::Silent => "silent",
            Self::TooOld => "too-old",
            Self::Truncated => "truncated",
            Self::Closed => "closed",
            Self::ByPeer(_) => "by-peer",
            Self::Refused(_) => "refused",
        }
    }
}
