//! Predicted weights are those of transactions that were really signed.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Keypair, Secp256k1},
    transaction::Version,
};
use grail_script::{
    DepositTree, InternalKey, Sighashes, Spend, VaultTree,
    weight::{self, WeightError},
};
use grail_types::{Roster, SignerIndex, Terms};
use grail_witness::{Reclaim, group_witness, leaf_witness};
use proptest::prelude::*;
use support::{governance, keypair, p2wpkh, public, roster_with, tapscript, terms, user};

/// How an input is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    VaultLeaf,
    VaultKey,
    DepositLeaf,
    DepositKey,
    Reclaim,
}

/// An input to be made: how it is spent, which of the rosters holds it, how many of that roster's
/// first signers are absent, if it can do without them.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    kind: Kind,
    roster: usize,
    absent: usize,
}

/// An input that can be signed.
enum Signable<'a> {
    Spend(Spend, &'a (Vec<Keypair>, Roster), usize),
    Reclaim(Reclaim<'a>),
}

struct Scene<'a> {
    transaction: Transaction,
    prevouts: Vec<TxOut>,
    inputs: Vec<Signable<'a>>,
}

fn group() -> Keypair {
    keypair(0x6666)
}

fn input(vout: usize) -> TxIn {
    TxIn {
        previous_output: OutPoint {
            vout: u32::try_from(vout).unwrap(),
            ..OutPoint::null()
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

impl<'a> Scene<'a> {
    fn new(
        rosters: &'a [(Vec<Keypair>, Roster)],
        terms: &'a Terms,
        wanted: &[Wanted],
        outputs: usize,
    ) -> Self {
        let secp = Secp256k1::new();
        let internal_key = InternalKey::Group(public(&group()).try_into().unwrap());
        let mut scene = Self {
            transaction: Transaction {
                version: Version::TWO,
                lock_time: LockTime::ZERO,
                input: Vec::new(),
                output: vec![
                    TxOut {
                        value: Amount::from_sat(330),
                        script_pubkey: p2wpkh(1),
                    };
                    outputs
                ],
            },
            prevouts: Vec::new(),
            inputs: Vec::new(),
        };
        for (index, wanted) in wanted.iter().enumerate() {
            let holder = &rosters[wanted.roster % rosters.len()];
            let vault = VaultTree::new(&secp, internal_key, &holder.1, &governance());
            let deposit = DepositTree::new(&secp, internal_key, terms, &holder.1);
            let is_vault = matches!(wanted.kind, Kind::VaultLeaf | Kind::VaultKey);
            let output = TxOut {
                value: Amount::from_sat(100_000),
                script_pubkey: if is_vault {
                    vault.script_pubkey
                } else {
                    deposit.script_pubkey
                },
            };
            let spend = match wanted.kind {
                Kind::VaultLeaf => Some(vault.leaf.into()),
                Kind::VaultKey => vault.key.map(Spend::Key),
                Kind::DepositLeaf => Some(deposit.leaf.into()),
                Kind::DepositKey => deposit.key.map(Spend::Key),
                Kind::Reclaim => None,
            };
            let mut input = input(index);
            let signable = if let Some(spend) = spend {
                Signable::Spend(spend, holder, wanted.absent)
            } else {
                let reclaim = Reclaim {
                    internal_key,
                    terms,
                    roster: &holder.1,
                    outpoint: input.previous_output,
                    output: output.clone(),
                };
                input = reclaim.input();
                Signable::Reclaim(reclaim)
            };
            scene.transaction.input.push(input);
            scene.prevouts.push(output);
            scene.inputs.push(signable);
        }
        scene
    }

    fn predicted(&self) -> Weight {
        let secp = Secp256k1::new();
        let witnesses = self.inputs.iter().map(|input| match input {
            Signable::Spend(spend, ..) => spend.witness_weight(),
            Signable::Reclaim(reclaim) => reclaim.witness_weight(&secp).unwrap(),
        });
        weight::signed(&self.transaction, witnesses).unwrap()
    }

    fn signed(&self) -> Transaction {
        let secp = Secp256k1::new();
        let mut transaction = self.transaction.clone();
        let mut sighashes = Sighashes::new(&self.transaction, &self.prevouts);
        for (index, input) in self.inputs.iter().enumerate() {
            match input {
                Signable::Spend(spend, holder, absent) => {
                    let message = sighashes.of(index, spend).unwrap();
                    transaction.input[index].witness = match spend {
                        Spend::Leaf(leaf) => {
                            let threshold = usize::from(holder.1.threshold().0);
                            let absent = holder.0.len().saturating_sub(threshold).min(*absent);
                            let signatures = (0..)
                                .map(SignerIndex)
                                .zip(&holder.0)
                                .skip(absent)
                                .take(threshold)
                                .map(|(signer, key)| {
                                    (signer, secp.sign_schnorr_no_aux_rand(&message, key))
                                })
                                .collect();
                            leaf_witness(leaf, &signatures).unwrap()
                        }
                        Spend::Key(key) => {
                            let tweaked = group().add_xonly_tweak(&secp, &key.tweak()).unwrap();
                            let signature = secp.sign_schnorr_no_aux_rand(&message, &tweaked);
                            group_witness(&secp, key, &message, &signature).unwrap()
                        }
                    };
                }
                Signable::Reclaim(reclaim) => reclaim
                    .sign_input(&secp, &mut transaction, &self.prevouts, &user())
                    .unwrap(),
            }
        }
        transaction
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let kind = prop_oneof![
        Just(Kind::VaultLeaf),
        Just(Kind::VaultKey),
        Just(Kind::DepositLeaf),
        Just(Kind::DepositKey),
        Just(Kind::Reclaim),
    ];
    (kind, 0_usize..3, 0_usize..100).prop_map(|(kind, roster, absent)| Wanted {
        kind,
        roster,
        absent,
    })
}

fn size() -> impl Strategy<Value = (u16, u16)> {
    (4_u16..=100).prop_flat_map(|signers| (Just(signers), signers / 2 + 1..=signers))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_predicted_weight_is_that_of_the_signed_transaction(
        sizes in prop::array::uniform3(size()),
        wanted in prop::collection::vec(wanted(), 1..=200),
        outputs in 1_usize..=260,
    ) {
        let rosters = sizes.map(|(signers, threshold)| roster_with(0, signers, threshold));
        let terms = terms();
        let scene = Scene::new(&rosters, &terms, &wanted, outputs);
        let signed = scene.signed();
        prop_assert_eq!(scene.predicted(), signed.weight());
        for index in [0, wanted.len() / 2, wanted.len() - 1] {
            let verdict = tapscript::verify(&signed, &scene.prevouts, index);
            prop_assert_eq!(verdict, Ok(()), "input {}: {:?}", index, wanted[index]);
        }
    }
}

#[test]
fn counts_that_take_more_bytes_are_weighed() {
    let rosters = [roster_with(0, 4, 3)];
    let terms = terms();
    let kinds = [Kind::VaultLeaf, Kind::DepositKey, Kind::Reclaim];
    for inputs in [1, 2, 252, 253, 254] {
        for outputs in [1, 252, 253] {
            let wanted: Vec<_> = (0..inputs)
                .map(|index| Wanted {
                    kind: kinds[index % kinds.len()],
                    roster: 0,
                    absent: index % 2,
                })
                .collect();
            let scene = Scene::new(&rosters, &terms, &wanted, outputs);
            assert_eq!(
                scene.predicted(),
                scene.signed().weight(),
                "{inputs} inputs, {outputs} outputs"
            );
        }
    }
}

#[test]
fn a_transaction_is_the_sum_of_its_parts() {
    let rosters = [roster_with(0, 4, 3)];
    let terms = terms();
    for (inputs, outputs) in [(1, 1), (252, 252), (253, 253)] {
        let wanted = vec![
            Wanted {
                kind: Kind::VaultKey,
                roster: 0,
                absent: 0
            };
            inputs
        ];
        let scene = Scene::new(&rosters, &terms, &wanted, outputs);
        let input = weight::INPUT + weight::KEY_PATH_WITNESS;
        let parts = weight::frame(inputs, outputs).to_wu()
            + input.to_wu() * inputs as u64
            + weight::P2WPKH_OUTPUT.to_wu() * outputs as u64;
        assert_eq!(scene.predicted().to_wu(), parts, "{inputs} {outputs}");
    }
}

#[test]
fn outputs_weigh_what_the_library_says() {
    let vault = VaultTree::new(
        &Secp256k1::new(),
        InternalKey::Nums,
        &roster_with(0, 4, 3).1,
        &governance(),
    );
    let scripts = [
        (p2wpkh(1), Some(weight::P2WPKH_OUTPUT)),
        (vault.script_pubkey, Some(weight::P2TR_OUTPUT)),
        (ScriptBuf::from_bytes(vec![0x6a; 252]), None),
        (ScriptBuf::from_bytes(vec![0x6a; 253]), None),
    ];
    for (script_pubkey, named) in scripts {
        let weight = weight::output(&script_pubkey);
        let value = Amount::ZERO;
        let expected = TxOut {
            value,
            script_pubkey,
        }
        .weight();
        assert_eq!(weight, expected);
        assert_eq!(named.unwrap_or(expected), expected);
    }
}

#[test]
fn each_input_needs_its_own_witness() {
    let rosters = [roster_with(0, 4, 3)];
    let terms = terms();
    let wanted = [Wanted {
        kind: Kind::VaultKey,
        roster: 0,
        absent: 0,
    }; 2];
    let scene = Scene::new(&rosters, &terms, &wanted, 1);
    for witnesses in [0, 1, 3] {
        let weights = std::iter::repeat_n(weight::KEY_PATH_WITNESS, witnesses);
        assert_eq!(
            weight::signed(&scene.transaction, weights),
            Err(WeightError::WitnessCount {
                inputs: 2,
                witnesses
            })
        );
    }
    assert_eq!(
        weight::signed(&scene.transaction, [Weight::MAX, Weight::MAX]),
        Err(WeightError::Overflow)
    );
}
