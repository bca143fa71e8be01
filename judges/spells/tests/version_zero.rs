//! What a proof commits to, in the encoding of each version: the bytes that `charms-client` writes.
//! Of version 0 no spell is known, so its encoding is compared here alone.

#![allow(missing_docs)]

use charms_client::tx::to_serialized_pv;
use charms_data::{App, B32, Data, NativeOutput, TxId, UtxoId, VersionedApp};
use grail_spell::{
    MOCK_SPELL_VK, NormalizedCharms, NormalizedSpell, NormalizedTransaction, public_values,
};
use grail_spell_judge::to_charms;
use proptest::prelude::*;

/// CBOR of values of every kind that app data can have; ciborium's own type is no dependency here.
fn any_data() -> impl Strategy<Value = Data> {
    let leaf = prop_oneof![
        Just(Data::empty()),
        any::<bool>().prop_map(|value| Data::from(&value)),
        any::<u64>().prop_map(|value| Data::from(&value)),
        any::<i64>().prop_map(|value| Data::from(&value)),
        (-70_000_i64..70_000).prop_map(|value| Data::from(&value)),
        any::<f64>().prop_map(|value| Data::from(&value)),
        any::<f32>().prop_map(|value| Data::from(&value)),
        any::<char>().prop_map(|value| Data::from(&value)),
        ".{0,20}".prop_map(|value| Data::from(&value)),
        // A byte string, an outpoint's encoding.
        any::<[u8; 32]>().prop_map(|value| Data::from(&TxId(value))),
        // Tags: a big number, and one around text.
        Just(Data::try_from_bytes(&[0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0]).expect("CBOR")),
        Just(Data::try_from_bytes(&[0xd8, 0x20, 0x61, b'u']).expect("CBOR")),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|value| Data::from(&value)),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|entries| {
                Data::from(
                    &entries
                        .into_iter()
                        .collect::<std::collections::BTreeMap<_, _>>(),
                )
            }),
        ]
    })
}

fn any_spell() -> impl Strategy<Value = NormalizedSpell> {
    let part = || any::<bool>();
    let apps = prop::collection::btree_map(
        (any::<char>(), any::<[u8; 32]>(), any::<[u8; 32]>()),
        any_data(),
        0..3,
    );
    let outs = prop::collection::vec(
        prop::collection::btree_map(0_u32..9, any_data(), 0..3),
        0..4,
    );
    (
        0_u32..=15,
        apps,
        outs,
        any::<[u8; 32]>(),
        [part(), part(), part(), part(), part(), part(), part()],
    )
        .prop_map(
            |(version, apps, outs, bytes, [ins, refs, beamed, coins, scrolls, versioned, mock])| {
                let utxo = UtxoId(TxId(bytes), u32::from(bytes[0]));
                let coin = NativeOutput {
                    amount: u64::from_le_bytes([bytes[1]; 8]),
                    dest: bytes[..5].to_vec(),
                    content: beamed.then(|| Data::from(&bytes[3])),
                };
                let app = VersionedApp {
                    version: u32::from(bytes[2]),
                    wasm_hash: B32(bytes),
                };
                NormalizedSpell {
                    version,
                    tx: NormalizedTransaction {
                        ins: ins.then(|| vec![utxo.clone()]),
                        refs: refs.then(|| vec![utxo.clone(), utxo]),
                        outs: outs.into_iter().map(NormalizedCharms::from).collect(),
                        beamed_outs: beamed.then(|| [(3, B32(bytes))].into()),
                        coins: coins.then(|| vec![coin]),
                        scrolls: scrolls.then(|| [1, 7].into()),
                    },
                    app_public_inputs: apps
                        .into_iter()
                        .map(|((tag, identity, vk), data)| {
                            let (identity, vk) = (B32(identity), B32(vk));
                            (App { tag, identity, vk }, data)
                        })
                        .collect(),
                    versioned_apps: versioned.then(|| (B32(bytes), app)).into_iter().collect(),
                    mock,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn proofs_commit_to_the_bytes_that_charms_writes(spell in any_spell(), vk in any::<[u8; 32]>()) {
        for version in [0, spell.version] {
            for vk in [&vk, &MOCK_SPELL_VK] {
                let ours = public_values(version, vk, &spell).expect("every spell has public values");
                prop_assert_eq!(ours, to_serialized_pv(version, vk, &to_charms(&spell)));
            }
        }
    }
}
