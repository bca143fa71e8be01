//! Who answers for which input and output of a transaction.
//!
//! An action's rules stand in sections, each of which knows a part of the transaction. Two sections
//! that both take an output for theirs would count it twice; an output that none takes is a leak.
//! So each input and each output is claimed exactly once, and a decision ends with
//! [`Claims::finish`].

use std::ops::Range;

use bitcoin::Transaction;

use crate::refusal::Refusal;

/// A part of a transaction with rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// The roster NFT, the vault and the requests.
    Bridge,
    /// A zk-app's cells and orders.
    App,
    /// What frames any spell: its output, and the prover's fee.
    Frame,
    /// Probe coins.
    #[cfg(feature = "test-action")]
    Probe,
}

/// The claims on one transaction.
pub(crate) struct Claims {
    inputs: Vec<Option<Section>>,
    outputs: Vec<Option<Section>>,
}

impl Claims {
    pub(crate) fn on(transaction: &Transaction) -> Self {
        Self {
            inputs: vec![None; transaction.input.len()],
            outputs: vec![None; transaction.output.len()],
        }
    }

    pub(crate) fn inputs(&mut self, section: Section, range: Range<usize>) -> Result<(), Refusal> {
        claim(&mut self.inputs, "input", section, range)
    }

    pub(crate) fn outputs(&mut self, section: Section, range: Range<usize>) -> Result<(), Refusal> {
        claim(&mut self.outputs, "output", section, range)
    }

    /// Nothing is left over.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        let unclaimed =
            |what, claims: &[Option<Section>]| match claims.iter().position(Option::is_none) {
                None => Ok(()),
                Some(index) => Err(Refusal::Unclaimed { what, index }),
            };
        unclaimed("input", &self.inputs)?;
        unclaimed("output", &self.outputs)
    }
}

fn claim(
    claims: &mut [Option<Section>],
    what: &'static str,
    section: Section,
    range: Range<usize>,
) -> Result<(), Refusal> {
    for index in range {
        match claims.get_mut(index) {
            Some(free @ None) => *free = Some(section),
            // Taken, or not there: either way two parts of the rules disagree about the
            // transaction.
            Some(Some(_)) | None => return Err(Refusal::Unclaimed { what, index }),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxIn, TxOut, absolute::LockTime, transaction::Version};

    fn transaction() -> Transaction {
        let output = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::new(),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn::default(); 3],
            output: vec![output; 2],
        }
    }

    fn code(outcome: Result<(), Refusal>) -> Option<Refusal> {
        outcome.err()
    }

    #[test]
    fn each_place_is_claimed_exactly_once() {
        let mut claims = Claims::on(&transaction());
        claims.inputs(Section::Bridge, 0..3).unwrap();
        claims.outputs(Section::Bridge, 0..1).unwrap();
        claims.outputs(Section::Frame, 1..2).unwrap();
        assert_eq!(claims.finish(), Ok(()));
    }

    #[test]
    fn a_place_claimed_twice_or_by_nobody_is_refused() {
        let at = |what, index| Some(Refusal::Unclaimed { what, index });
        let mut claims = Claims::on(&transaction());
        claims.inputs(Section::Bridge, 0..2).unwrap();
        assert_eq!(code(claims.inputs(Section::Frame, 1..3)), at("input", 1));
        assert_eq!(code(claims.outputs(Section::Frame, 2..3)), at("output", 2));
        let mut claims = Claims::on(&transaction());
        claims.inputs(Section::Bridge, 0..3).unwrap();
        claims.outputs(Section::Bridge, 0..1).unwrap();
        assert_eq!(code(claims.finish()), at("output", 1));
        let mut claims = Claims::on(&transaction());
        claims.outputs(Section::Bridge, 0..2).unwrap();
        assert_eq!(code(claims.finish()), at("input", 0));
    }
}
