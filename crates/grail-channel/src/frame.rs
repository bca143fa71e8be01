//! Sealed frames: `length u16 · ChaCha20-Poly1305(kind u8 · body) · tag`, under a counter.

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use crate::{
    limits::{FRAME_BODY_MAX_BYTES, REKEY_FRAMES, TAG_BYTES},
    reason::Reason,
};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A message, or its last part.
    Last,
    /// A full frame of a message that goes on.
    Part,
    /// Nothing, but alive.
    Ping,
    /// The end, with a reason.
    Farewell,
    /// A proof of the handshake.
    Proof,
}

impl FrameKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Last => 0,
            Self::Part => 1,
            Self::Ping => 2,
            Self::Farewell => 3,
            Self::Proof => 4,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Last,
            1 => Self::Part,
            2 => Self::Ping,
            3 => Self::Farewell,
            4 => Self::Proof,
            _ => return None,
        })
    }
}

/// Both directions of one end.
pub(crate) struct Keys {
    pub(crate) sealing: Sealing,
    pub(crate) opening: Opening,
}

/// The direction that this end sends in.
pub(crate) struct Sealing(Chain);

/// The direction that this end hears.
pub(crate) struct Opening(Chain);

/// A key that lies in one place on the heap, and the number of its next frame. Neither shown nor
/// cloned.
struct Chain {
    key: Box<Zeroizing<[u8; 32]>>,
    next: u64,
}

impl Chain {
    /// The cipher and the nonce of the next frame; a new key after every [`REKEY_FRAMES`].
    fn advance(&mut self) -> Result<(ChaCha20Poly1305, Nonce), Reason> {
        let number = self.next;
        // The last counter is the rekeying's own.
        if number == u64::MAX {
            return Err(Reason::TooOld);
        }
        if number > 0 && number.checked_rem(REKEY_FRAMES) == Some(0) {
            self.rekey()?;
        }
        self.next = number.saturating_add(1);
        Ok((self.cipher(), nonce(number)))
    }

    /// Noise's REKEY (revision 34, section 4.2): the first 32 bytes of zeros encrypted under the
    /// last counter.
    fn rekey(&mut self) -> Result<(), Reason> {
        let sealed = self
            .cipher()
            .encrypt(&nonce(u64::MAX), [0; 32].as_slice())
            .map(Zeroizing::new)
            .map_err(|_| Reason::TooOld)?;
        let fresh = sealed.first_chunk::<32>().ok_or(Reason::TooOld)?;
        self.key.copy_from_slice(fresh);
        Ok(())
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(self.key.as_slice().try_into().expect("a key has 32 bytes"))
    }
}

impl Sealing {
    /// From the first key.
    pub(crate) const fn new(key: Box<Zeroizing<[u8; 32]>>) -> Self {
        Self(Chain { key, next: 0 })
    }

    /// The next frame as it goes over the wire.
    pub(crate) fn seal(&mut self, kind: FrameKind, body: &[u8]) -> Result<Vec<u8>, Reason> {
        if body.len() > FRAME_BODY_MAX_BYTES {
            return Err(Reason::FrameTooLong);
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(body.len().saturating_add(1)));
        plain.push(kind.byte());
        plain.extend_from_slice(body);
        let length = length_of(plain.len().saturating_add(TAG_BYTES))?;
        let (cipher, nonce) = self.0.advance()?;
        let payload = Payload {
            msg: &plain,
            aad: &length,
        };
        let sealed = cipher
            .encrypt(&nonce, payload)
            .map_err(|_| Reason::FrameTooLong)?;
        Ok([length.as_slice(), &sealed].concat())
    }
}

impl Opening {
    /// From the first key.
    pub(crate) const fn new(key: Box<Zeroizing<[u8; 32]>>) -> Self {
        Self(Chain { key, next: 0 })
    }

    /// Opens the next frame, which came without its length. Nothing of it is looked at before it
    /// has proven authentic.
    pub(crate) fn open(&mut self, sealed: &[u8]) -> Result<(FrameKind, Vec<u8>), Reason> {
        let length = length_of(sealed.len())?;
        let (cipher, nonce) = self.0.advance()?;
        let payload = Payload {
            msg: sealed,
            aad: &length,
        };
        let mut plain = cipher
            .decrypt(&nonce, payload)
            .map_err(|_| Reason::NotAuthentic)?;
        let kind = plain
            .first()
            .and_then(|&byte| FrameKind::of(byte))
            .ok_or(Reason::FrameMalformed)?;
        plain.remove(0);
        Ok((kind, plain))
    }
}

/// A frame of a message that is not sealed.
pub(crate) fn plain(message: &[u8]) -> Result<Vec<u8>, Reason> {
    Ok([length_of(message.len())?.as_slice(), message].concat())
}

fn length_of(bytes: usize) -> Result<[u8; 2], Reason> {
    let length = u16::try_from(bytes).map_err(|_| Reason::FrameTooLong)?;
    Ok(length.to_be_bytes())
}

/// Noise's nonce for this cipher: four zero bytes and the counter, little-endian.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    let [_, _, _, _, counter @ ..] = &mut bytes;
    *counter = number.to_le_bytes();
    bytes.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair() -> (Sealing, Opening) {
        let key = || Box::new(Zeroizing::new([7; 32]));
        (Sealing::new(key()), Opening::new(key()))
    }

    fn passes(sealing: &mut Sealing, opening: &mut Opening, body: &[u8]) {
        let frame = sealing.seal(FrameKind::Last, body).unwrap();
        let (_, sealed) = frame.split_first_chunk::<2>().unwrap();
        let opened = opening.open(sealed).unwrap();
        assert_eq!(opened, (FrameKind::Last, body.to_vec()));
    }

    #[test]
    fn frames_pass_across_changes_of_the_key() {
        let (mut sealing, mut opening) = pair();
        for number in 0..3 * REKEY_FRAMES + 2 {
            passes(&mut sealing, &mut opening, &number.to_be_bytes());
        }
        assert_ne!(sealing.0.key.as_slice(), &[7; 32]);
    }

    #[test]
    fn the_key_changes_exactly_with_every_1024th_frame() {
        let (mut sealing, mut opening) = pair();
        let mut keys = vec![[7; 32]];
        for _ in 0..=2 * REKEY_FRAMES {
            passes(&mut sealing, &mut opening, b"");
            if keys.last() != Some(&**sealing.0.key) {
                assert_eq!((sealing.0.next - 1) % REKEY_FRAMES, 0);
                keys.push(**sealing.0.key);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn the_last_counter_seals_nothing() {
        let (mut sealing, mut opening) = pair();
        sealing.0.next = u64::MAX;
        opening.0.next = u64::MAX;
        assert_eq!(sealing.seal(FrameKind::Ping, b""), Err(Reason::TooOld));
        assert_eq!(opening.open(&[0; 17]), Err(Reason::TooOld));
    }

    #[test]
    fn a_frame_of_an_unknown_kind_or_of_none_is_malformed() {
        for plain in [b"".as_slice(), b"\x05", b"\xffbody"] {
            let (mut sealing, mut opening) = pair();
            let (cipher, nonce) = sealing.0.advance().unwrap();
            let aad = length_of(plain.len() + TAG_BYTES).unwrap();
            let payload = Payload {
                msg: plain,
                aad: &aad,
            };
            let sealed = cipher.encrypt(&nonce, payload).unwrap();
            assert_eq!(opening.open(&sealed), Err(Reason::FrameMalformed));
        }
    }

    #[test]
    fn the_longest_body_fills_the_longest_frame() {
        let (mut sealing, _) = pair();
        let longest = vec![1; FRAME_BODY_MAX_BYTES];
        let frame = sealing.seal(FrameKind::Part, &longest).unwrap();
        assert_eq!(frame.len(), crate::limits::FRAME_MAX_BYTES);
        let longer = vec![1; FRAME_BODY_MAX_BYTES + 1];
        let refused = sealing.seal(FrameKind::Part, &longer);
        assert_eq!(refused, Err(Reason::FrameTooLong));
    }
}
