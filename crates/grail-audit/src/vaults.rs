//! Which addresses are vaults, who may spend them, and the coins at vaults that are not the current
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use grail_bridge_contract::RosterState;
use grail_script::{InternalKey, VaultTree};
use grail_types::{Governance, Roster};

use crate::books::Books;
use crate::checks::roster_of;
use crate::finding::{Finding, Severity};
use crate::witness::{KnownRoster, Role, SignedInput};

/// Every vault that there was, is, or is known to come.
#[derive(Debug)]
pub(crate) struct Vaults {
    secp: Secp256k1<VerifyOnly>,
    /// Administrators that the auditor was told of.
    governances: Vec<Governance>,
    /// Every roster so far, the current one last.
    rosters: Vec<KnownRoster>,
    /// Scripts of all vaults known.
    scripts: BTreeSet<ScriptBuf>,
    /// Coins at scripts of vaults that are not the current one.
    strays: BTreeMap<OutPoint, (ScriptBuf, Amount)>,
}

impl Vaults {
    /// With scripts that are known to become vaults, and the administrators that are known.
    pub(crate) fn new(scripts: BTreeSet<ScriptBuf>, governances: Vec<Governance>) -> Self {
        Self {
            secp: Secp256k1::verification_only(),
            governances,
            rosters: Vec::new(),
            scripts,
            strays: BTreeMap::new(),
        }
    }

    pub(crate) fn scripts(&self) -> &BTreeSet<ScriptBuf> {
        &self.scripts
    }

    /// Notes the roster of a state, if its address is the vault that the state names.
    pub(crate) fn learn_roster(&mut self, state: &RosterState, findings: &mut Vec<Finding>) {
        let script = ScriptBuf::from_bytes(state.vault_script.clone());
        match roster_of(state) {
            Some(roster) => match self.check_address(state, &roster, &script) {
                Err(finding) if finding.severity() == Severity::Alarm => findings.push(finding),
                checked => {
                    let current = self.rosters.last().map(KnownRoster::roster);
                    if current != Some(&roster) {
                        findings.extend(checked.err());
                        self.rosters.push(KnownRoster::new(roster));
                    }
                }
            },
            None => findings.push(Finding::VaultScript),
        }
        self.scripts.insert(script);
    }

    /// The address has the administrators' keys in it, and the state only their hash.
    fn check_address(
        &self,
        state: &RosterState,
        roster: &Roster,
        script: &ScriptBuf,
    ) -> Result<(), Finding> {
        if self.governances.is_empty() {
            return Err(Finding::AddressUnchecked);
        }
        let mut told = self.governances.iter();
        let governance = told
            .find(|it| it.hash() == state.governance)
            .ok_or(Finding::Administrators)?;
        let tree = VaultTree::new(&self.secp, InternalKey::Nums, roster, governance);
        if tree.script_pubkey == *script {
            Ok(())
        } else {
            Err(Finding::VaultScript)
        }
    }

    /// Who signed the roster's inputs. The NFT's own input must be one.
    pub(crate) fn check_signatures(
        &self,
        transaction: &Transaction,
        nft_input: Option<usize>,
        findings: &mut Vec<Finding>,
    ) -> Vec<SignedInput> {
        let signed: Vec<SignedInput> = transaction
            .input
            .iter()
            .enumerate()
            .filter_map(|(index, input)| {
                let mut rosters = self.rosters.iter().rev();
                rosters.find_map(|roster| roster.signed(index, input))
            })
            .collect();
        let short = signed
            .iter()
            .filter(|input| input.signers.len() < input.threshold);
        findings.extend(short.map(|input| Finding::Quorum {
            input_index: input.input_index,
            expected: input.threshold,
            got: input.signers.len(),
        }));
        let unsigned = nft_input.filter(|index| {
            !signed
                .iter()
                .any(|input| input.input_index == *index && input.role == Role::Vault)
        });
        if let Some(input_index) = unsigned {
            findings.push(Finding::Quorum {
                input_index,
                expected: self
                    .rosters
                    .last()
                    .map_or(0, |known| usize::from(known.roster().threshold().0)),
                got: 0,
            });
        }
        signed
    }

    /// Inputs whose witness shows that they were at a vault, and that no block paid.
    pub(crate) fn check_known_coins(
        &self,
        transaction: &Transaction,
        books: &Books,
    ) -> Vec<Finding> {
        let is_known = |outpoint: &OutPoint| {
            books.nft.as_ref() == Some(outpoint)
                || books.vault.contains_key(outpoint)
                || books.donations.contains_key(outpoint)
        };
        let mut findings = Vec::new();
        for (index, input) in transaction.input.iter().enumerate() {
            let current = self.rosters.last();
            let is_vault = current
                .and_then(|roster| roster.signed(index, input))
                .is_some_and(|signed| signed.role == Role::Vault);
            if is_vault && !is_known(&input.previous_output) {
                findings.push(Finding::VaultCoinUnknown(input.previous_output));
            }
        }
        findings
    }

    /// Books the outputs at vaults: what the spell speaks of is the vault's, the rest is given.
    /// Returns both sums.
    pub(crate) fn receive(
        &mut self,
        txid: Txid,
        transaction: &Transaction,
        counted_outputs: usize,
        books: &mut Books,
    ) -> (Amount, Amount) {
        let (mut counted, mut donated) = (0_u64, 0_u64);
        for (index, (vout, output)) in (0_u32..).zip(&transaction.output).enumerate() {
            let outpoint = OutPoint::new(txid, vout);
            if books.nft == Some(outpoint) || !self.scripts.contains(&output.script_pubkey) {
                continue;
            }
            let value = output.value;
            if output.script_pubkey.as_bytes() != books.state.vault_script {
                self.strays
                    .insert(outpoint, (output.script_pubkey.clone(), value));
            } else if index < counted_outputs {
                books.vault.insert(outpoint, value);
                counted = counted.saturating_add(value.to_sat());
            } else {
                books.donations.insert(outpoint, value);
                donated = donated.saturating_add(value.to_sat());
            }
        }
        (Amount::from_sat(counted), Amount::from_sat(donated))
    }

    pub(crate) fn spend_strays(&mut self, transaction: &Transaction) -> Amount {
        let spent = transaction
            .input
            .iter()
            .filter_map(|input| self.strays.remove(&input.previous_output))
            .fold(0_u64, |sum, (_, amount)| {
                sum.saturating_add(amount.to_sat())
            });
        Amount::from_sat(spent)
    }

    pub(crate) fn note_strays(&mut self, txid: Txid, transaction: &Transaction) {
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if self.scripts.contains(&output.script_pubkey) {
                let coin = (output.script_pubkey.clone(), output.value);
                self.strays.insert(OutPoint::new(txid, vout), coin);
            }
        }
    }

    /// What was at the current vault's address before it was the vault is a gift to it.
    pub(crate) fn adopt_strays(&mut self, books: &mut Books) {
        let script = &books.state.vault_script;
        let (own, others) = mem::take(&mut self.strays)
            .into_iter()
            .partition(|(_, (stray, _))| stray.as_bytes() == script);
        self.strays = others;
        let own: BTreeMap<OutPoint, (ScriptBuf, Amount)> = own;
        books
            .donations
            .extend(own.into_iter().map(|(at, (_, amount))| (at, amount)));
    }

    /// What a rotation does not bring along is at the vault of another epoch.
    pub(crate) fn leave_behind(&mut self, old: &RosterState, books: &mut Books) {
        let script = ScriptBuf::from_bytes(old.vault_script.clone());
        let left = mem::take(&mut books.vault)
            .into_iter()
            .chain(mem::take(&mut books.donations));
        self.strays
            .extend(left.map(|(at, amount)| (at, (script.clone(), amount))));
    }
}
