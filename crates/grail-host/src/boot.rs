//! Booting an enclave with the right key, and knowing it again.

use bitcoin::XOnlyPublicKey;
use grail_types::{BoundedBytes, Bridge};
use grail_wire::{Boot, Booted, Fault, FaultCode, Identity, Request, Response};

use crate::{client::EnclaveClient, error::HostError, state::StateFolder};

/// Boots the enclave with the key of this folder, or a new one where there never was one; says
/// which key, and whether it was made just now. When this returns, the key is on disk.
pub async fn boot(
    client: &EnclaveClient,
    state: &StateFolder,
    bridge: &Bridge,
) -> Result<(XOnlyPublicKey, bool), HostError> {
    let sealed = state.sealed()?;
    let known = state.public_key()?;
    let is_first = sealed.is_none();
    let sealed = sealed
        .map(BoundedBytes::new)
        .transpose()
        .map_err(|_| HostError::Protocol("the sealed key is longer than any"))?;
    let request = Request::Boot(Boot {
        bridge: *bridge,
        sealed,
    });
    let (public_key, is_new) = match client.call(request).await? {
        Response::Booted(Booted { public_key, sealed }) => {
            match (is_first, sealed) {
                (true, Some(sealed)) => state.keep_sealed(&sealed)?,
                (false, None) => {}
                (true, None) => return Err(HostError::Protocol("a key was made and not sealed")),
                (false, Some(_)) => return Err(HostError::Protocol("a second key was made")),
            }
            (public_key, is_first)
        }
        // An enclave that outlived its last host. Its key is this folder's, or nobody keeps it.
        Response::Failed(Fault {
            code: FaultCode::AlreadyBooted,
            ..
        }) => {
            let got = identify(client).await?.public_key;
            if known.is_none() {
                return Err(HostError::KeyUnknown {
                    got: Box::new(got),
                    path: state.path().to_owned(),
                });
            }
            (got, false)
        }
        Response::Failed(fault) => return Err(HostError::BootRefused(fault)),
        Response::Identity(_)
        | Response::Evidence(_)
        | Response::Decided(_)
        | Response::Adopted(_) => {
            return Err(HostError::Protocol("boot"));
        }
    };
    match known {
        Some(expected) => same_key(&expected, &public_key)?,
        None => state.keep_public_key(&public_key)?,
    }
    check_identity(client, &public_key, bridge).await?;
    Ok((public_key, is_new))
}

/// Checks that the enclave has this key, for this bridge.
pub async fn check_identity(
    client: &EnclaveClient,
    public_key: &XOnlyPublicKey,
    bridge: &Bridge,
) -> Result<(), HostError> {
    let identity = identify(client).await?;
    same_key(public_key, &identity.public_key)?;
    if identity.bridge != *bridge {
        return Err(HostError::BridgeChanged {
            expected: Box::new(*bridge),
            got: Box::new(identity.bridge),
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
    match client.call(Request::Identify).await? {
        Response::Identity(identity) => Ok(identity),
        Response::Failed(fault) => Err(HostError::BootRefused(fault)),
        Response::Booted(_)
        | Response::Evidence(_)
        | Response::Decided(_)
        | Response::Adopted(_) => Err(HostError::Protocol("identify")),
    }
}
