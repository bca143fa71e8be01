//! BIP-340 signatures over messages of any length, and under other tags, as ChillDKG uses them for
//! certificates and proofs of possession: neither can stand for a transaction's signature.

use bitcoin::secp256k1::PublicKey;

use crate::{
    Vanished,
    hash::Tagged,
    scalar::{Point, Scalar, Secret, is_odd, x_of},
};

/// Bytes of a signature.
pub(crate) const BYTES: usize = 64;

/// BIP-340 `Sign` with `tag` in place of `BIP0340`.
pub(crate) fn sign(
    tag: &str,
    secret: &Secret,
    message: &[u8],
    auxiliary: &[u8; 32],
) -> Result<[u8; BYTES], Vanished> {
    let public = secret.public();
    let secret = secret.duplicate().negated_if(is_odd(&public));
    let mut seed = secret.bytes();
    let mask = Tagged::of_parts(tag, "/aux").add(auxiliary).finish_secret();
    for (byte, mask) in seed.iter_mut().zip(mask.iter()) {
        *byte ^= mask;
    }
    let nonce = Secret::from_hash(
        &Tagged::of_parts(tag, "/nonce")
            .add(seed.as_slice())
            .add(&x_of(&public))
            .add(message)
            .finish_secret(),
    )?;
    let point = nonce.public();
    let challenge = challenge(tag, &x_of(&point), &public, message);
    let answer = nonce
        .negated_if(is_odd(&point))
        .plus(&secret.times_public(challenge)?)?
        .disclosed();
    let mut signature = [0; BYTES];
    let halves = x_of(&point).into_iter().chain(answer.to_bytes());
    for (to, from) in signature.iter_mut().zip(halves) {
        *to = from;
    }
    Ok(signature)
}

/// A signature that did not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// BIP-340 `Verify` with `tag` in place of `BIP0340`.
pub(crate) fn verify(
    tag: &str,
    public: &PublicKey,
    message: &[u8],
    signature: &[u8; BYTES],
) -> Result<(), Invalid> {
    let (x, answer) = signature.split_at(32);
    let x: &[u8; 32] = x.try_into().map_err(|_| Invalid)?;
    let answer: &[u8; 32] = answer.try_into().map_err(|_| Invalid)?;
    let answer = Scalar::from_bytes(answer).ok_or(Invalid)?;
    let challenge = challenge(tag, x, public, message);
    let point = Point::from(*public)
        .negated_if(is_odd(public))
        .times(challenge.negated())
        .plus_generator_times(answer)
        .finite()
        .ok_or(Invalid)?;
    if is_odd(&point) || x_of(&point) != *x {
        return Err(Invalid);
    }
    Ok(())
}

fn challenge(tag: &str, x: &[u8; 32], public: &PublicKey, message: &[u8]) -> Scalar {
    Scalar::from_hash(
        Tagged::of_parts(tag, "/challenge")
            .add(x)
            .add(&x_of(public))
            .add(message)
            .finish(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bitcoin::secp256k1::{Message, schnorr::Signature};
    use zeroize::Zeroizing;

    use super::*;
    use crate::scalar::curve;

    fn secret(byte: u8) -> Secret {
        Secret::from_hash(&Zeroizing::new([byte; 32])).unwrap()
    }

    #[test]
    fn under_bip_340s_own_tag_it_is_bip_340() {
        for byte in 1..20 {
            let secret = secret(byte);
            let signature = sign("BIP0340", &secret, &[7; 32], &[byte; 32]).unwrap();
            let (key, _) = secret.public().x_only_public_key();
            let message = Message::from_digest([7; 32]);
            let signature = Signature::from_slice(&signature).unwrap();
            curve().verify_schnorr(&signature, &message, &key).unwrap();
            let theirs = curve().sign_schnorr_with_aux_rand(
                &message,
                &bitcoin::key::Keypair::from_seckey_slice(curve(), &*secret.bytes()).unwrap(),
                &[byte; 32],
            );
            assert_eq!(signature, theirs);
        }
    }

    #[test]
    fn other_tags_messages_keys_and_bits_are_refused() {
        let own = secret(3);
        let signature = sign("a", &own, b"message", &[0; 32]).unwrap();
        verify("a", &own.public(), b"message", &signature).unwrap();
        assert!(verify("b", &own.public(), b"message", &signature).is_err());
        assert!(verify("a", &own.public(), b"messages", &signature).is_err());
        assert!(verify("a", &secret(4).public(), b"message", &signature).is_err());
        for bit in 0..BYTES * 8 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verify("a", &own.public(), b"message", &changed).is_err());
        }
    }
}
