//! The mock spell's proof: Groth16 of a dummy circuit, under the Charms project's public proving
//! key. In development builds alone.

use std::sync::OnceLock;

use ark_bls12_381::{Bls12_381, Fr};
use ark_ff::PrimeField as _;
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use grail_spell::{MOCK_SPELL_VK, NormalizedSpell, Proof, public_values};
use grail_types::TaggedHasher;
use sha2::{Digest as _, Sha256};

use crate::port::ProverError;

/// A Groth16 proof of the dummy circuit for the hash of the spell's public values.
pub(crate) fn prove_dummy(spell: &NormalizedSpell) -> Result<Proof, ProverError> {
    let values = public_values(spell.version, &MOCK_SPELL_VK, spell).map_err(failed)?;
    // The first 31 bytes of the hash, little-endian, so that they fit the field.
    let mut digest: [u8; 32] = Sha256::digest(&values).into();
    digest[31] = 0;
    let circuit = DummyCircuit {
        input: Fr::from_le_bytes_mod_order(&digest),
    };
    // The proof's blinding: there is no secret to hide, so it may as well be reproducible.
    let [r, s] = ["grail/mock-proof-r/v1", "grail/mock-proof-s/v1"]
        .map(|tag| Fr::from_be_bytes_mod_order(&TaggedHasher::new(tag).bytes(&values).finish()));
    let proof = Groth16::<Bls12_381>::create_proof_with_reduction(circuit, proving_key(), r, s)
        .map_err(failed)?;
    let mut bytes = Vec::new();
    proof.serialize_compressed(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn failed(error: impl std::fmt::Display) -> ProverError {
    ProverError::Proof {
        reason: error.to_string(),
    }
}

fn proving_key() -> &'static ProvingKey<Bls12_381> {
    static KEY: OnceLock<ProvingKey<Bls12_381>> = OnceLock::new();
    KEY.get_or_init(|| {
        ProvingKey::deserialize_compressed(include_bytes!("../keys/mock.bin").as_slice())
            .expect("the committed mock proving key is read by a test")
    })
}

/// "The public input equals a witness": the circuit of the mock proving key.
struct DummyCircuit {
    input: Fr,
}

impl ConstraintSynthesizer<Fr> for DummyCircuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let witness = cs.new_witness_variable(|| Ok(self.input))?;
        let public = cs.new_input_variable(|| Ok(self.input))?;
        cs.enforce_r1cs_constraint(
            || LinearCombination::from(witness),
            || LinearCombination::from(Variable::One),
            || LinearCombination::from(public),
        )
    }
}
