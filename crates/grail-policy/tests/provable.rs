//! Between two crates: a deposit that the reading of spells takes for acceptable can be settled,
//! whatever the transaction that made it says besides. Otherwise a stranger's deposit stops
//! everybody's settlement.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use bitcoin::Transaction;
use charms_data::{App, B32, Data, VersionedApp};
use grail_prover::MockProver;
use grail_spell::{
    BridgeCharms, NormalizedCharms, NormalizedSpell, NormalizedTransaction, PreviousBatch,
    encode_op_return, nft_app, token_app,
};
use grail_txbuild::Deposit;
use grail_types::{Kind, MockAllowed, Network};
use proptest::prelude::*;
use support::{Peg, coin, funding, output, p2wpkh, peg_in, peg_out, real_world};

const DEPOSITED: u64 = 700_000;

/// What a charm is of.
#[derive(Clone, Copy, Debug)]
enum Of {
    Token,
    Nft,
    Other,
}

/// How the spell is proven.
#[derive(Clone, Copy, Debug)]
enum Proven {
    Validly,
    /// The proof of another spell.
    Falsely,
    /// Not a mock, with a mock's proof.
    OtherWise,
}

/// The spell of a deposit's transaction.
#[derive(Clone, Debug)]
struct Spell {
    version: u32,
    /// What the deposit and the output before it carry.
    charms: [Vec<Of>; 2],
    /// How many outputs the spell speaks of.
    outs: usize,
    beamed: Option<Vec<u32>>,
    /// Whether it binds the bridge's key, or another, to a program.
    versioned: Option<bool>,
    proven: Proven,
    /// Bytes after the spell.
    behind: usize,
}

/// Output 0 is somebody's, output 1 the deposit.
const DEPOSIT: u32 = 1;

fn spell() -> impl Strategy<Value = Spell> {
    let of = prop_oneof![4 => Just(Of::Token), 1 => Just(Of::Nft), 1 => Just(Of::Other)];
    let charms = prop_oneof![
        3 => Just(vec![]),
        4 => of.clone().prop_map(|of| vec![of]),
        1 => prop::collection::vec(of, 2..3),
    ];
    let proven = prop_oneof![
        6 => Just(Proven::Validly),
        1 => Just(Proven::Falsely),
        1 => Just(Proven::OtherWise),
    ];
    (
        prop_oneof![1 => Just(14_u32), 6 => Just(15), 1 => Just(16)],
        [charms.clone(), charms],
        0_usize..3,
        prop::option::weighted(0.3, prop::collection::vec(0_u32..3, 0..3)),
        prop::option::weighted(0.2, any::<bool>()),
        proven,
        prop_oneof![6 => Just(0_usize), 1 => Just(1)],
    )
        .prop_map(
            |(version, charms, outs, beamed, versioned, proven, behind)| Spell {
                version,
                charms,
                outs,
                beamed,
                versioned,
                proven,
                behind,
            },
        )
}

impl Spell {
    fn valid() -> Self {
        Self {
            version: 15,
            charms: [vec![], vec![]],
            outs: 2,
            beamed: None,
            versioned: None,
            proven: Proven::Validly,
            behind: 0,
        }
    }

    fn normalized(&self) -> NormalizedSpell {
        let world = real_world();
        let bridge = &world.bridge.app;
        let app = |of| match of {
            Of::Token => (token_app(bridge), Data::from(&DEPOSITED)),
            Of::Nft => (nft_app(bridge), world.state.to_data()),
            Of::Other => {
                let [identity, vk] = [B32([1; 32]), B32([2; 32])];
                let app = App {
                    tag: 'x',
                    identity,
                    vk,
                };
                (app, Data::from(&1))
            }
        };
        let listed = self.charms.iter().flatten();
        let mut spell = NormalizedSpell {
            version: self.version,
            app_public_inputs: listed.map(|of| (app(*of).0, Data::empty())).collect(),
            mock: true,
            ..NormalizedSpell::default()
        };
        let outs = self.charms.iter().take(self.outs).map(|charms| {
            let charm = |of: &Of| {
                let (app, data) = app(*of);
                (spell.app_index(&app).unwrap(), data)
            };
            charms.iter().map(charm).collect::<NormalizedCharms>()
        });
        let tx = NormalizedTransaction {
            outs: outs.collect(),
            beamed_outs: self
                .beamed
                .as_ref()
                .map(|vouts| vouts.iter().map(|vout| (*vout, B32([9; 32]))).collect()),
            ..NormalizedTransaction::default()
        };
        spell.tx = tx;
        spell.versioned_apps = self
            .versioned
            .map(|own| {
                let vk = if own { bridge.vk } else { [5; 32] };
                let app = VersionedApp {
                    version: 1,
                    wasm_hash: B32([6; 32]),
                };
                (B32(vk), app)
            })
            .into_iter()
            .collect();
        spell
    }

    /// Puts itself into `made`.
    fn cast(&self, made: &mut Transaction) {
        let prover = MockProver::new(MockAllowed::on(Network::Regtest).unwrap());
        let proof_of = |spell: &NormalizedSpell| {
            let spell = spell.clone().committed_to(made).unwrap();
            prover.prove_unchecked(&spell).unwrap().proof
        };
        let mut spell = self.normalized();
        let mut proof = proof_of(&spell);
        match self.proven {
            Proven::Validly => {}
            Proven::Falsely => {
                let other = NormalizedSpell {
                    mock: true,
                    ..NormalizedSpell::default()
                };
                proof = proof_of(&other);
            }
            Proven::OtherWise => spell.mock = false,
        }
        proof.extend(vec![0; self.behind]);
        let script = encode_op_return(&spell, &proof).unwrap();
        made.output.push(output(0, script));
    }
}

/// What the reading says of the deposit, and whether a settlement of it alone passes the native
/// check, where the reading finds it acceptable.
fn settle(peg: &Peg, spell: Option<&Spell>) -> (BridgeCharms, Option<Result<(), String>>) {
    let world = real_world();
    let terms = world.terms(peg, 1);
    let coin_value = match peg.kind {
        Kind::PegOut => world.params.carrier.to_sat(),
        _ => peg.amount,
    };
    let deposit = output(coin_value, world.deposit_script(&terms));
    let mut made = funding(9_000, vec![output(330, p2wpkh(1)), deposit]);
    if let Some(spell) = spell {
        spell.cast(&mut made);
    }
    let mut batch = PreviousBatch::new(&world.bridge.app, MockAllowed::on(Network::Regtest));
    batch.read(&made, &[DEPOSIT]);
    let carried = batch.finish(&[4; 32])[0]
        .spent(DEPOSIT)
        .unwrap()
        .carried
        .clone();
    let acceptable = match peg.kind {
        Kind::PegOut => carried == BridgeCharms::Token(peg.amount),
        _ => carried == BridgeCharms::Nothing,
    };
    let outcome = acceptable.then(|| {
        let deposit = Deposit {
            terms,
            coin: coin(&made, DEPOSIT),
            token: match peg.kind {
                Kind::PegOut => peg.amount,
                _ => 0,
            },
            previous_bytes: made.total_size(),
        };
        let case = world.case_of(vec![(deposit, made)], &|_| {});
        // Proving begins with the native check; a mock's proof cannot fail after it.
        case.draft.try_propose(world).map(|_| ())
    });
    (carried, outcome)
}

fn pegs() -> [Peg; 2] {
    [peg_in(DEPOSITED), peg_out(DEPOSITED)]
}

#[test]
fn deposits_with_and_without_a_spell_can_be_settled() {
    let [deposit, redemption] = pegs();
    assert_eq!(
        settle(&deposit, None),
        (BridgeCharms::Nothing, Some(Ok(())))
    );
    let silent = Spell::valid();
    assert_eq!(
        settle(&deposit, Some(&silent)),
        (BridgeCharms::Nothing, Some(Ok(())))
    );
    let carrying = Spell {
        charms: [vec![], vec![Of::Token]],
        ..Spell::valid()
    };
    assert_eq!(
        settle(&redemption, Some(&carrying)),
        (BridgeCharms::Token(DEPOSITED), Some(Ok(())))
    );
}

/// The proof of the audit: no outputs, no apps, output 1 beamed away.
#[test]
fn a_deposit_beamed_away_without_charms_is_not_acceptable() {
    let spell = Spell {
        outs: 0,
        beamed: Some(vec![DEPOSIT]),
        ..Spell::valid()
    };
    let [deposit, _] = pegs();
    assert_eq!(settle(&deposit, Some(&spell)), (BridgeCharms::Other, None));
}

#[test]
fn zkbtc_under_a_signing_keys_control_is_not_acceptable() {
    let spell = Spell {
        charms: [vec![], vec![Of::Token]],
        versioned: Some(true),
        ..Spell::valid()
    };
    let [_, redemption] = pegs();
    assert_eq!(
        settle(&redemption, Some(&spell)),
        (BridgeCharms::Other, None)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_is_taken_for_an_acceptable_deposit_can_be_settled(spell in spell()) {
        for peg in pegs() {
            let (carried, outcome) = settle(&peg, Some(&spell));
            if let Some(outcome) = outcome {
                prop_assert_eq!(outcome, Ok(()), "{:?} of {:?}", carried, peg.kind);
            }
        }
    }
}
