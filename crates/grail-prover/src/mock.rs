//! The prover of regtest: the real check, then a proof that proves nothing.
//!
//! In a production build there is neither the proving key nor a [`MockAllowed`] to make a
//! [`MockProver`] with.

#[cfg(not(feature = "development"))]
use grail_spell::Proof;
use grail_spell::{NormalizedSpell, encode_op_return};
use grail_types::MockAllowed;

use crate::check::check;
#[cfg(feature = "development")]
use crate::dummy::prove_dummy;
use crate::port::{ProveRequest, Proven, Prover, ProverError};

/// Proves mock spells with the Charms project's public proving key, after running the same checks
/// as a real prover. The same request gives the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct MockProver {
    allowed: MockAllowed,
}

impl MockProver {
    /// A mock prover, for the network that granted the permission.
    pub fn new(allowed: MockAllowed) -> Self {
        Self { allowed }
    }

    /// Proves whatever it is given, right or wrong: the forger against whom readers and policies
    /// are tested, since the mock proving key is public.
    pub fn prove_unchecked(&self, spell: &NormalizedSpell) -> Result<Proven, ProverError> {
        let mut spell = spell.clone();
        spell.mock = true;
        proven(&spell, 0)
    }
}

impl Prover for MockProver {
    fn kind(&self) -> &'static str {
        "mock"
    }

    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
        let mut request = request.clone();
        request.spell.mock = true;
        let checked = check(&request, Some(self.allowed))?;
        proven(&request.spell, checked.fuel())
    }
}

fn proven(spell: &NormalizedSpell, fuel: u64) -> Result<Proven, ProverError> {
    let proof = prove_dummy(spell)?;
    let spell_wire = spell.to_wire();
    let op_return = encode_op_return(&spell_wire, &proof)?;
    Ok(Proven {
        spell_wire,
        proof,
        op_return,
        fuel,
        fee_output: None,
    })
}

/// Never called: a production build has no [`MockProver`]. And no key, should somebody find a way
/// to make one.
#[cfg(not(feature = "development"))]
fn prove_dummy(_: &NormalizedSpell) -> Result<Proof, ProverError> {
    Err(ProverError::Proof {
        reason: "this build has no mock prover".into(),
    })
}
