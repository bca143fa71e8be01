//! The file that names the signers to come, and whether the evidence of the new ones verifies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::{OutPoint, XOnlyPublicKey};
use grail_api::{
    Attestation, Candidate, EvidenceHash, Hash32, ProposedRoster, RosterAnswer, Signer,
};
use grail_attest::Protocol;
use grail_types::{BoundedVec, Bridge, Epoch, Roster, SIGNERS_MAX, Threshold};
use grail_wallet::roster::check_evidence;
use serde::Deserialize;

use crate::failure::Failure;
use crate::session::now;

/// The signers to come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RosterFile {
    /// How many must agree.
    threshold: Threshold,
    /// Who, in any order; with evidence where today's roster does not have the key.
    signers: BoundedVec<Candidate, SIGNERS_MAX>,
}

impl RosterFile {
    /// The roster of an epoch.
    pub(super) fn roster(&self, epoch: Epoch) -> Result<Roster, Failure> {
        let mut keys: Vec<_> = self.signers.iter().map(|it| it.public_key).collect();
        keys.sort_by_key(XOnlyPublicKey::serialize);
        Roster::new(epoch, keys, self.threshold)
            .map_err(|error| Failure::new("roster-invalid", error.to_string()))
    }

    /// Hashes of the evidence that there is, in order.
    pub(super) fn hashes(&self) -> Result<Vec<EvidenceHash>, Failure> {
        let mut hashes = self
            .with_evidence()
            .map(|(signer, attestation)| {
                Ok(EvidenceHash {
                    public_key: signer.public_key,
                    sha256: hash(signer, attestation)?,
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        hashes.sort_by_key(|it| it.public_key.serialize());
        Ok(hashes)
    }

    fn with_evidence(&self) -> impl Iterator<Item = (&Candidate, &Attestation)> {
        let signers = self.signers.iter();
        signers.filter_map(|it| it.attestation.as_ref().map(|found| (it, found)))
    }

    /// Whether everything that the roster to come names of evidence is here, is that very evidence
    /// and verifies against the images to come; and whether each key in `fresh` has some.
    pub(super) fn check(
        &self,
        bridge: &Bridge,
        proposed: &ProposedRoster,
        fresh: &[XOnlyPublicKey],
    ) -> Result<(), Failure> {
        check_named(proposed, fresh)?;
        let mut signers = Vec::new();
        for named in proposed.evidence.iter() {
            let found = self
                .with_evidence()
                .find(|(signer, _)| signer.public_key == named.public_key);
            let (signer, attestation) =
                found.ok_or_else(|| missing(&named.public_key, "the roster file has no"))?;
            if hash(signer, attestation)? != named.sha256 {
                return Err(Failure::new(
                    "evidence-differs",
                    format!(
                        "the roster file's evidence of {} is not what the proposal names",
                        signer.public_key
                    ),
                ));
            }
            let index = u16::try_from(signers.len()).unwrap_or(u16::MAX);
            signers.push(shown(index, signer, attestation));
        }
        let protocol = Protocol::new(
            *bridge,
            proposed.params.clone(),
            proposed.images.clone(),
            proposed.governance.clone(),
        )
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
        let shown = RosterAnswer {
            former: Vec::new(),
            epoch: proposed.roster.epoch(),
            threshold: proposed.roster.threshold(),
            address: String::new(),
            nft_outpoint: OutPoint::null(),
            signers,
        };
        for verdict in check_evidence(&shown, &protocol, now()) {
            if let Err(refused) = verdict.verdict {
                return Err(Failure::new(
                    refused.code(),
                    format!("the evidence of {}: {refused}", verdict.public_key),
                ));
            }
        }
        Ok(())
    }
}

/// Whether the proposal names evidence of each new key.
pub(super) fn check_named(
    proposed: &ProposedRoster,
    fresh: &[XOnlyPublicKey],
) -> Result<(), Failure> {
    let named = |key: &&XOnlyPublicKey| proposed.evidence.iter().any(|it| it.public_key == **key);
    match fresh.iter().find(|key| !named(key)) {
        None => Ok(()),
        Some(key) => Err(missing(key, "the proposal names no")),
    }
}

fn missing(key: &XOnlyPublicKey, who: &str) -> Failure {
    Failure::new(
        "evidence-missing",
        format!("{who} evidence of the key {key}"),
    )
}

fn hash(signer: &Candidate, attestation: &Attestation) -> Result<Hash32, Failure> {
    let document = BASE64.decode(&attestation.evidence).map_err(|error| {
        Failure::new(
            "evidence-invalid",
            format!("the evidence of {}: {error}", signer.public_key),
        )
    })?;
    Ok(Hash32(sha256::Hash::hash(&document).to_byte_array()))
}

fn shown(index: u16, signer: &Candidate, attestation: &Attestation) -> Signer {
    Signer {
        index,
        public_key: signer.public_key,
        name: signer.name.clone(),
        evidence: attestation.evidence.clone(),
        nonce: attestation.nonce.clone(),
        pcr0: String::new(),
        attested_at: attestation.attested_at,
        fail_safe: None,
    }
}
