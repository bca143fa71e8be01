//! The file that describes a deployed bridge: what `run` starts from and what anybody can check.

use std::path::Path;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bitcoin::{OutPoint, Transaction, consensus};
use grail_attest::{SignerExpectation, TrustAnchor, UnixTime, verify_signer_evidence};
use grail_bridge_contract::RosterState;
use grail_script::VaultTree;
use grail_spell::{PrevTx, nft_app, roster_state};
use grail_txbuild::first_state;
use grail_types::{MockAllowed, Params, Roster};
use serde::{Deserialize, Serialize};

/// Version of the file.
const VERSION: u32 = 1;

/// A deployed bridge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    version: u32,
    /// Protocol parameters.
    pub params: Params,
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

/// The trust anchor of a network: AWS's, and on regtest, in a development build, the development root.
pub fn trust_anchor(params: &Params) -> TrustAnchor {
    TrustAnchor::of(params.network)
}

impl Deployment {
    /// Describes a deployment.
    pub fn new(
        params: Params,
        roster: Roster,
        signers: Vec<SignerRecord>,
        transaction: &Transaction,
        start_height: u32,
    ) -> Self {
        let transaction = consensus::encode::serialize_hex(transaction);
        Self {
            version: VERSION,
            params,
            roster,
            signers,
            transaction,
            start_height,
        }
    }

    /// Reads and checks a file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let deployment: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no deployment file", path.display()))?;
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
        let previous = PrevTx::read(self.transaction()?, MockAllowed::on(self.params.network));
        let charms = previous.charms_at(0);
        roster_state(&charms, &nft_app(&self.params.bridge))?
            .context("the deployment transaction carries no roster NFT with a verified spell")
    }

    /// The parts belong together: parameters, roster, NFT, and evidence for every signer, each as of its own time.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.version == VERSION,
            "expected version {VERSION}, got {}",
            self.version
        );
        self.params.validate()?;
        let secp = bitcoin::secp256k1::Secp256k1::verification_only();
        let vault = VaultTree::new(&secp, &self.roster);
        let expected = first_state(&self.params, &self.roster, &vault);
        ensure!(
            self.state()? == expected,
            "the NFT's state is not that of these parameters and this roster"
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
                .verify(&self.params)
                .with_context(|| format!("evidence of signer {}", signer.public_key))
        })
    }
}

impl SignerRecord {
    fn verify(&self, params: &Params) -> anyhow::Result<()> {
        let document = BASE64_STANDARD.decode(&self.evidence)?;
        let nonce = hex::decode(&self.nonce)?;
        let expectation = SignerExpectation {
            references: &params.measurements,
            params_hash: params.hash(),
            nonce: Some(&nonce),
        };
        let at = UnixTime::from_secs(self.attested_at);
        let attested = verify_signer_evidence(&document, &trust_anchor(params), &expectation, at)?;
        ensure!(
            attested.public_key() == self.public_key,
            "it attests another key"
        );
        Ok(())
    }
}
