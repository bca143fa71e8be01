//! Which prover a network has.

use std::sync::Arc;

use anyhow::bail;
use grail_prover::{MockProver, Prover};
use grail_types::{MockAllowed, Network};

/// Bytes of a mock proof: a compressed Groth16 proof over BLS12-381.
pub const MOCK_PROOF_BYTES: usize = 192;

/// The prover of `network`. Only regtest has one in this build, and it is the mock; everywhere else there is nothing
/// to fall back to, so the backend does not start (I11).
pub fn prover_for(network: Network) -> anyhow::Result<Arc<dyn Prover>> {
    match MockAllowed::on(network) {
        Some(allowed) => Ok(Arc::new(MockProver::new(allowed))),
        None => bail!(
            "no production prover is built in: {network} cannot be served, mock proofs work on regtest alone"
        ),
    }
}
