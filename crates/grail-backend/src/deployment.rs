//! The file that describes a deployed bridge: what `run` starts from and what anybody can check.

use std::path::Path;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bitcoin::{OutPoint, Transaction, consensus};
use grail_attest::{Protocol, SignerExpectation, UnixTime, verify_signer_evidence};
use grail_bridge_contract::RosterState;
use grail_charms::{PrevTx, roster_state};
use grail_script::{InternalKey, VaultTree};
use grail_spell::nft_app;
use grail_txbuild::first_state;
use grail_types::{MockAllowed, Roster};
use serde::{Deserialize, Serialize};

/// Version of the file. Version 1 had network, bridge and images within the parameters.
const VERSION: u32 = 2;

/// Each signer's evidence is at most 32 KiB, base64, the deployment transaction some kilobytes.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A deployed bridge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    version: u32,
    /// Bridge, parameters and images.
    pub protocol: Protocol,
    /// The first roster.
    pub roster: Roster,
    /// Evidence of every signer, in roster order.
    pub signers: Vec<SignerRecord>,
    /// The deployment transaction, hex.
    transaction: String,
    /// Height of the tip when it was sent: no block below holds anything of this bridge.
    pub start_height: u32,
}

/// A signer as it was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerRecord {
    /// What the operator calls itself.
    pub name: String,
    /// X-only key.
    pub public_key: bitcoin::XOnlyPublicKey,
    /// Attestation document, base64.
    pub evidence: String,
    /// The challenge that it answers, hex.
    pub nonce: String,
    /// PCR0 according to the evidence, hex.
    pub pcr0: String,
    /// When it was made, unix seconds.
    pub attested_at: u64,
}

/// What a file of every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Deployment {
    /// Describes a deployment.
    pub fn new(
        protocol: Protocol,
        roster: Roster,
        signers: Vec<SignerRecord>,
        transaction: &Transaction,
        start_height: u32,
    ) -> Self {
        let transaction = consensus::encode::serialize_hex(transaction);
        Self {
            version: VERSION,
            protocol,
            roster,
            signers,
            transaction,
            start_height,
        }
    }

    /// Reads and checks a file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let bytes = grail_files::read_bounded(path, FILE_BYTES_MAX)?;
        let Versioned { version } =
            grail_files::parse_json(path, &bytes).context("not a deployment file")?;
        // Told before its fields are: those of another version say nothing here.
        ensure!(
            version == VERSION,
            "{}: expected a deployment file of version {VERSION}, got version {version}; a bridge's NFT and evidence \
             bind what the version says, so run that bridge with the release that deployed it, or deploy a new one \
             (`init-protocol`, then `deploy`)",
            path.display()
        );
        let deployment: Self =
            grail_files::parse_json(path, &bytes).context("not a deployment file")?;
        deployment
            .check()
            .with_context(|| format!("{} does not hold together", path.display()))?;
        Ok(deployment)
    }

    /// The deployment transaction.
    pub fn transaction(&self) -> anyhow::Result<Transaction> {
        consensus::encode::deserialize_hex(&self.transaction)
            .context("malformed deployment transaction")
    }

    /// The first output of the roster NFT.
    pub fn nft_outpoint(&self) -> anyhow::Result<OutPoint> {
        Ok(OutPoint::new(self.transaction()?.compute_txid(), 0))
    }

    /// The state that the NFT was deployed with.
    pub fn state(&self) -> anyhow::Result<RosterState> {
        let previous = PrevTx::read(
            self.transaction()?,
            MockAllowed::on(self.protocol.bridge().network),
        );
        let charms = previous.charms_at(0);
        roster_state(&charms, &nft_app(&self.protocol.bridge().app))?
            .context("the deployment transaction carries no roster NFT with a verified spell")
    }

    /// The parts belong together: parameters, roster, NFT, and evidence for every signer, each as
    /// of its own time.
    pub fn check(&self) -> anyhow::Result<()> {
        let secp = bitcoin::secp256k1::Secp256k1::verification_only();
        let governance = self.protocol.governance();
        governance
            .check_share(&self.roster)
            .context("governance-share")?;
        let vault = VaultTree::new(&secp, InternalKey::Nums, &self.roster, governance);
        let expected = first_state(
            self.protocol.hash(),
            governance.hash(),
            &self.roster,
            &vault,
        );
        ensure!(
            self.state()? == expected,
            "the NFT's state is not that of these parameters, administrators and this roster"
        );
        ensure!(
            self.signers
                .iter()
                .map(|signer| &signer.public_key)
                .eq(self.roster.signers()),
            "the evidence is not of the roster's signers in roster order"
        );
        self.signers.iter().try_for_each(|signer| {
            signer
                .verify(&self.protocol)
                .with_context(|| format!("evidence of signer {}", signer.public_key))
        })
    }
}

impl SignerRecord {
    fn verify(&self, protocol: &Protocol) -> anyhow::Result<()> {
        let document = BASE64_STANDARD.decode(&self.evidence)?;
        let nonce = hex::decode(&self.nonce)?;
        let expectation = SignerExpectation {
            images: protocol.images(),
            bridge: *protocol.bridge(),
            nonce: Some(&nonce),
        };
        let at = UnixTime::from_secs(self.attested_at);
        let attested = verify_signer_evidence(&document, &expectation, at)?;
        ensure!(
            attested.public_key() == self.public_key,
            "it attests another key"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployment.json");
        std::fs::write(&path, text).unwrap();
        format!("{:#}", Deployment::load(&path).unwrap_err())
    }

    #[test]
    fn a_file_of_another_version_is_refused_with_what_to_do() {
        for version in [0, 1, 3] {
            let text = format!(r#"{{"version":{version},"params":{{"network":"regtest"}}}}"#);
            let words = refusal(&text);
            let expected =
                format!("expected a deployment file of version 2, got version {version}");
            assert!(words.contains(&expected), "{words}");
            assert!(words.contains("the release that deployed it"), "{words}");
        }
    }

    #[test]
    fn what_is_no_deployment_file_is_refused() {
        for text in ["", "{}", "[]", r#"{"version":"2"}"#, r#"{"version":2}"#] {
            let words = refusal(text);
            assert!(words.contains("not a deployment file"), "{words}");
        }
        let long = " ".repeat(FILE_BYTES_MAX) + "{}";
        assert!(refusal(&long).contains("expected at most"));
    }
}
