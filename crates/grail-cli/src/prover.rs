//! Who proves the spells of this program.

use bitcoin::ScriptBuf;
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_types::{MockAllowed, Network};
use grail_wallet::transfer::{ProveFailure, SpellProver, Unproven};

/// Outside regtest, and in production builds everywhere, a spell needs a real proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "zkBTC on {0} needs a Charms prover, and this program has none yet: only development builds have a mock, for regtest"
)]
pub struct NeedsCharmsProver(Network);

impl NeedsCharmsProver {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "needs-charms-prover"
    }
}

failures!(NeedsCharmsProver);

/// The prover of a network.
pub fn prover(network: Network) -> Result<impl SpellProver, NeedsCharmsProver> {
    MockAllowed::on(network)
        .map(|allowed| Mock(MockProver::new(allowed)))
        .ok_or(NeedsCharmsProver(network))
}

struct Mock(MockProver);

impl SpellProver for Mock {
    fn prove(&self, unproven: Unproven<'_>) -> Result<ScriptBuf, ProveFailure> {
        let request = ProveRequest::of_bridge(
            unproven.spell,
            &unproven.previous,
            unproven.contract.to_vec(),
        );
        match self.0.prove(&request) {
            Ok(proven) => Ok(proven.op_return),
            Err(error) => Err(ProveFailure {
                code: error.code(),
                reason: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn i11_there_is_no_mock_prover_off_regtest() {
        for network in Network::ALL {
            let made = prover(network);
            if network == Network::Regtest {
                assert!(made.is_ok());
            } else {
                assert_eq!(
                    made.err().unwrap().code(),
                    "needs-charms-prover",
                    "{network}"
                );
            }
        }
    }
}
