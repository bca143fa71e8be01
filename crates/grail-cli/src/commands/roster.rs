//! `grail roster`: the signers, and whether their evidence verifies.

use grail_attest::TrustAnchor;
use grail_wallet::roster::{
    NotAttested, check_evidence, check_nft, checked_roster, printable, vault_of,
};

use crate::failure::Failure;
use crate::node::unspent_output;
use crate::progress::Progress;
use crate::report::{RosterReport, SignerReport};
use crate::session::{Session, now};

/// The signers, and whether their evidence verifies.
pub fn roster(session: &mut Session, progress: &mut dyn Progress) -> Result<RosterReport, Failure> {
    let protocol = session.protocol_of_now(progress)?;
    let answer = session.api()?.roster()?;
    let roster = checked_roster(&answer, &protocol)?;
    session.remember_vault(&vault_of(&roster, &protocol));
    let nft = if session.has_node() {
        let checked = session.node().and_then(|node| {
            let unspent = unspent_output(node, answer.nft_outpoint)?;
            let nft = check_nft(unspent.as_ref(), answer.nft_outpoint, &roster, &protocol);
            Ok(nft?)
        });
        match checked {
            Ok(_) => "verified".to_owned(),
            Err(failure) => failure.code.to_owned(),
        }
    } else {
        "not-checked".to_owned()
    };
    let signers = check_evidence(&answer, &protocol, now())
        .into_iter()
        .zip(&answer.signers)
        .map(|(signer, told)| {
            let (attested, refused) = match signer.verdict {
                Ok(attested) => (Some(attested), None),
                Err(refused) => (None, Some(refused)),
            };
            SignerReport {
                index: signer.index,
                name: signer.name,
                public_key: signer.public_key,
                is_attested: attested.is_some(),
                attested_at: attested.as_ref().map(|attested| attested.at),
                pcr0: attested.map(|attested| attested.pcr0),
                code: refused.as_ref().map(NotAttested::code),
                reason: refused.map(|refused| refused.to_string()),
                fail_safe: told.fail_safe.as_ref().map(|brake| printable(&brake.code)),
            }
        })
        .collect();
    Ok(RosterReport {
        epoch: roster.epoch().0,
        threshold: roster.threshold().0,
        address: printable(&answer.address),
        trust_anchor: TrustAnchor::of(protocol.bridge().network).name().to_owned(),
        signers,
        nft_outpoint: answer.nft_outpoint.to_string(),
        nft,
        former: answer.former.clone(),
    })
}
