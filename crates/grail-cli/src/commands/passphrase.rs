//! `grail passphrase`: how the mnemonic lies on this machine.

use crate::arguments::SetPassphrase;
use crate::failure::Failure;
use crate::passphrase::{NEW_PASSPHRASE, PassphraseSource};
use crate::report::Protected;
use crate::session::Session;

/// Encrypts the mnemonic, or changes the passphrase that it is encrypted with.
pub fn set_passphrase(session: &Session, asked: &SetPassphrase) -> Result<Protected, Failure> {
    let seed = session.home.seed()?;
    let source = PassphraseSource::of(asked.new_passphrase_file.as_deref(), NEW_PASSPHRASE);
    let passphrase = source.chosen()?.ok_or_else(|| {
        Failure::new(
            "new-passphrase-needed",
            format!(
                "expected a new passphrase, by --new-passphrase-file, {NEW_PASSPHRASE} or on a terminal; `grail \
                 passphrase remove` leaves the mnemonic without one"
            ),
        )
    })?;
    session.home.protect(&seed, Some(&passphrase))?;
    Ok(protected(session, true))
}

/// Writes the mnemonic without a passphrase.
pub fn remove_passphrase(session: &Session) -> Result<Protected, Failure> {
    if !session.home.mnemonic()?.is_encrypted() {
        return Err(Failure::new(
            "not-encrypted",
            "the mnemonic has no passphrase",
        ));
    }
    let seed = session.home.seed()?;
    session.home.protect(&seed, None)?;
    Ok(protected(session, false))
}

fn protected(session: &Session, is_encrypted: bool) -> Protected {
    Protected {
        mnemonic_file: session.home.mnemonic_path().display().to_string(),
        is_encrypted,
    }
}
