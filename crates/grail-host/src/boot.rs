//! Booting an enclave with the right key, and knowing it again.

use bitcoin::XOnlyPublicKey;
use grail_attest::Protocol;
use grail_signer::{Boot, Born, Fault, Identity, Request, Response};
use grail_types::ParamsHash;

use crate::{client::EnclaveClient, error::HostError, state::StateFolder};

/// Boots the enclave with the key of this folder, or a new one where there never was one; says which key, and whether it
/// was born just now. When this returns, the key is on disk.
pub async fn boot(
    client: &EnclaveClient,
    state: &StateFolder,
    protocol: &Protocol,
) -> Result<(XOnlyPublicKey, bool), HostError> {
    let sealed = state.sealed()?;
    let known = state.public_key()?;
    let is_first = sealed.is_none();
    let request = Request::Boot(Boot {
        bridge: *protocol.bridge(),
        params: protocol.params().clone(),
        sealed: sealed.map(Into::into),
    });
    let (public_key, born) = match client.call(&request).await? {
        Response::Booted(Born { public_key, sealed }) => {
            match (is_first, sealed) {
                (true, Some(sealed)) => state.keep_sealed(&sealed)?,
                (false, None) => {}
                (true, None) => return Err(HostError::Protocol("a key was born unsealed")),
                (false, Some(_)) => return Err(HostError::Protocol("a second key was born")),
            }
            (public_key, is_first)
        }
        // An enclave that outlived its last host. Its key is this folder's, or nobody keeps it.
        Response::Failed(fault) if fault.code == "already-booted" => {
            let got = identify(client).await?.public_key;
            if known.is_none() {
                return Err(HostError::KeyUnknown {
                    got: Box::new(got),
                    path: state.path().to_owned(),
                });
            }
            (got, false)
        }
        Response::Failed(Fault { code, details }) => {
            return Err(HostError::BootRefused { code, details });
        }
        _ => return Err(HostError::Protocol("boot")),
    };
    match known {
        Some(expected) => same_key(&expected, &public_key)?,
        None => state.keep_public_key(&public_key)?,
    }
    check_identity(client, &public_key, &protocol.hash()).await?;
    Ok((public_key, born))
}

/// Checks that the enclave has this key and runs with these parameters.
pub async fn check_identity(
    client: &EnclaveClient,
    public_key: &XOnlyPublicKey,
    params_hash: &ParamsHash,
) -> Result<(), HostError> {
    let identity = identify(client).await?;
    same_key(public_key, &identity.public_key)?;
    if identity.params_hash != *params_hash {
        return Err(HostError::ParamsChanged {
            expected: *params_hash,
            got: identity.params_hash,
        });
    }
    Ok(())
}

fn same_key(expected: &XOnlyPublicKey, got: &XOnlyPublicKey) -> Result<(), HostError> {
    if expected == got {
        return Ok(());
    }
    Err(HostError::KeyChanged {
        expected: Box::new(*expected),
        got: Box::new(*got),
    })
}

async fn identify(client: &EnclaveClient) -> Result<Identity, HostError> {
    match client.call(&Request::Identify).await? {
        Response::Identity(identity) => Ok(identity),
        Response::Failed(Fault { code, details }) => Err(HostError::BootRefused { code, details }),
        _ => Err(HostError::Protocol("identify")),
    }
}
