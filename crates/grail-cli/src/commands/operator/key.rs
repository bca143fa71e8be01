//! `grail operator key new`, and the key's file.

use std::path::Path;

use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use zeroize::Zeroizing;

use crate::arguments::NewOperatorKey;
use crate::failure::Failure;
use crate::home::{read_private, write_secret};
use crate::report::OperatorKeyMade;

/// Makes a key and writes it to a file of its own, which only its owner can read.
pub fn new_key(asked: &NewOperatorKey) -> Result<OperatorKeyMade, Failure> {
    let secp = Secp256k1::new();
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut())
        .map_err(|error| Failure::new("no-randomness", error.to_string()))?;
    // A number above the curve's order comes up once in 2^128.
    let key = Keypair::from_seckey_slice(&secp, secret.as_ref())
        .map_err(|error| Failure::new("no-randomness", error.to_string()))?;
    let mut text = Zeroizing::new(hex::encode(*secret));
    text.push('\n');
    write_secret(&asked.file, text.as_bytes())?;
    Ok(OperatorKeyMade {
        public_key: key.x_only_public_key().0.to_string(),
        file: asked.file.display().to_string(),
    })
}

/// Reads a key's file. Refuses one that others can read.
pub(super) fn read_key(path: &Path, secp: &Secp256k1<All>) -> Result<Keypair, Failure> {
    let text = read_private(path)?;
    let malformed = || {
        Failure::new(
            "file-malformed",
            format!(
                "{}: expected a key of 64 hex characters, as `grail operator key new` writes it",
                path.display()
            ),
        )
    };
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), secret.as_mut()).map_err(|_| malformed())?;
    Keypair::from_seckey_slice(secp, secret.as_ref()).map_err(|_| malformed())
}
