//! BIP-445's published vectors (`tests/vectors`): valid ones give the published bytes, invalid ones
//! the error that the draft names.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use bitcoin::secp256k1::{Message, PublicKey, schnorr::Signature};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    AggregateNonce, CombineError, HolderId, Malformed, OutputKey, PublicNonce, SecretNonce,
    Session, ShareFault, SignError, SignatureShare, SignerSet, SignersError, SigningShare,
    TweakError,
    hash::Tagged,
    scalar::{Secret, curve},
};

pub(crate) fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// What the draft's reference says of a case: nothing, or its error as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// `ValueError` and its message.
    Value(String),
    /// `InvalidContributionError`: position of the signer (none: the coordinator), and of what.
    Contribution(Option<usize>, &'static str),
}

fn value(message: &str) -> Fault {
    Fault::Value(message.into())
}

fn expected(test: &Value) -> Fault {
    let error = &test["error"];
    match error["type"].as_str().unwrap() {
        "ValueError" => value(error["message"].as_str().unwrap()),
        "InvalidContributionError" => Fault::Contribution(
            error["signer_index"]
                .as_u64()
                .map(|index| index.try_into().unwrap()),
            match error["contrib"].as_str().unwrap() {
                "pubnonce" => "pubnonce",
                "aggnonce" => "aggnonce",
                "aggothernonce" => "aggothernonce",
                "psig" => "psig",
                other => panic!("unknown contribution {other}"),
            },
        ),
        other => panic!("unknown error {other}"),
    }
}

impl From<SignersError> for Fault {
    fn from(error: SignersError) -> Self {
        match error {
            SignersError::Threshold { .. } => value("The threshold must be 1 <= t <= n."),
            SignersError::Count { .. } => value("The number of signers must be between t and n."),
            SignersError::PublicShares { .. } => {
                value("The pubshares and ids arrays must have the same length.")
            }
            SignersError::OutOfRange { position } => Self::Value(format!(
                "The participant identifier at index {position} is out of range."
            )),
            SignersError::Twice(_) => {
                value("The participant identifier list contains duplicate elements.")
            }
            SignersError::PublicShare { position } => {
                Self::Value(format!("Invalid pubshare at index {position}."))
            }
            SignersError::KeyMaterial => value("The provided key material is incorrect."),
        }
    }
}

impl From<SignError> for Fault {
    fn from(error: SignError) -> Self {
        match error {
            SignError::ShareNotAmongThem => {
                value("The signer's pubshare must be included in the list of pubshares.")
            }
            SignError::NotAmongThem(_) => {
                value("The signer's id must be present in the participant identifier list.")
            }
            SignError::Vanished(_) => panic!("vanished"),
        }
    }
}

impl From<TweakError> for Fault {
    fn from(error: TweakError) -> Self {
        match error {
            TweakError::OutOfRange => value("The tweak value is out of range."),
            TweakError::Infinity => value("The result of tweaking cannot be infinity."),
        }
    }
}

fn pick<'a>(group: &'a Value, pool: &str, test: &'a Value, indices: &str) -> Vec<&'a Value> {
    list(&test[indices])
        .iter()
        .map(|index| &group[pool][number(index)])
        .collect()
}

fn signers(group: &Value, test: &Value) -> Result<SignerSet, Fault> {
    let ids: Vec<HolderId> = list(&test["ids"])
        .iter()
        .map(|id| HolderId(id.as_u64().unwrap().try_into().unwrap()))
        .collect();
    let shares: Vec<[u8; 33]> = pick(group, "pubshares", test, "pubshare_indices")
        .into_iter()
        .map(array)
        .collect();
    let key = PublicKey::from_slice(&bytes(&group["thresh_pk"])).unwrap();
    Ok(SignerSet::new(
        number(&group["n"]),
        number(&group["t"]),
        &ids,
        &shares,
        &key,
    )?)
}

fn output_key(
    signers: &SignerSet,
    tweaks: &[&Value],
    x_only: &[Value],
) -> Result<OutputKey, Fault> {
    // The two errors of shape have no counterpart: a tweak carries its mode and has 32 bytes.
    if tweaks.len() != x_only.len() {
        return Err(value(
            "The tweaks and is_xonly arrays must have the same length.",
        ));
    }
    tweaks.iter().zip(x_only).try_fold(
        OutputKey::untweaked(signers.key()),
        |key, (tweak, x_only)| {
            let tweak: [u8; 32] = bytes(tweak)
                .try_into()
                .map_err(|_| value("The tweak must be a 32-byte array."))?;
            Ok(if x_only.as_bool().unwrap() {
                key.x_only(&tweak)?
            } else {
                key.plain(&tweak)?
            })
        },
    )
}

fn share(id: &Value, secret: &Value) -> Result<SigningShare, Fault> {
    let secret = Secret::from_bytes(&array(secret))
        .ok_or_else(|| value("The signer's secret share value is out of range."))?;
    let id = HolderId(id.as_u64().unwrap().try_into().unwrap());
    Ok(SigningShare::new(id, secret))
}

fn secret_nonce(bytes: &[u8; 64]) -> Result<(SecretNonce, PublicNonce), Fault> {
    let half = |range: std::ops::Range<usize>, which: &str| {
        Secret::from_bytes(&bytes[range].try_into().unwrap())
            .ok_or_else(|| Fault::Value(format!("{which} secnonce value is out of range.")))
    };
    Ok(SecretNonce::of_halves(
        half(0..32, "first")?,
        half(32..64, "second")?,
    ))
}

fn aggregate(bytes: &[u8; 66]) -> Result<AggregateNonce, Fault> {
    AggregateNonce::from_bytes(bytes).map_err(|Malformed| Fault::Contribution(None, "aggnonce"))
}

fn public_nonces(values: &[&Value]) -> Result<Vec<PublicNonce>, Fault> {
    values
        .iter()
        .enumerate()
        .map(|(index, nonce)| {
            PublicNonce::from_bytes(&array(nonce))
                .map_err(|Malformed| Fault::Contribution(Some(index), "pubnonce"))
        })
        .collect()
}

/// Signs as the case says, and verifies the own share.
fn sign(group: &Value, test: &Value, tweaks: &[&Value]) -> Result<[u8; 32], Fault> {
    let none = Vec::new();
    let signers = signers(group, test)?;
    let key = output_key(
        &signers,
        tweaks,
        test["is_xonly"].as_array().unwrap_or(&none),
    )?;
    let aggregate = aggregate(&array(&test["aggnonce"]))?;
    let message = bytes(&test["msg"]);
    let session = Session::of_any_message(&signers, &key, &aggregate, &message).unwrap();
    let (secret, public) =
        secret_nonce(&array(&group["secnonces"][number(&test["secnonce_index"])]))?;
    let share = share(
        &test["my_id"],
        &group["secshares"][number(&test["secshare_index"])],
    )?;
    let answer = session.sign(&share, secret)?;
    session.verify(share.id(), &public, &answer).unwrap();
    Ok(answer.to_bytes())
}

fn verify(group: &Value, test: &Value) -> Result<Result<(), ShareFault>, Fault> {
    let signers = signers(group, test)?;
    let key = OutputKey::untweaked(signers.key());
    let nonces = public_nonces(&pick(group, "pubnonces", test, "pubnonce_indices"))?;
    let message = bytes(&test["msg"]);
    let session =
        Session::of_any_message(&signers, &key, &AggregateNonce::sum(&nonces), &message).unwrap();
    let index = number(&test["signer_index"]);
    let id = signers.ids().nth(index).unwrap();
    Ok(match SignatureShare::from_bytes(&array(&test["psig"])) {
        Ok(share) => session.verify(id, &nonces[index], &share),
        Err(Malformed) => Err(ShareFault::Wrong(id)),
    })
}

#[test]
fn nonces_are_generated_as_published() {
    let vectors = read("bip445/nonce_gen.json");
    let mut count = 0;
    for test in list(&vectors["valid_tests"]) {
        let optional = |name: &str| (!test[name].is_null()).then(|| bytes(&test[name]));
        let randomness: [u8; 32] = array(&test["rand_"]);
        let seed = match optional("secshare") {
            Some(_) => *share(&0.into(), &test["secshare"])
                .unwrap()
                .masked(&randomness),
            None => randomness,
        };
        let (secret, public) = SecretNonce::expand(
            &Zeroizing::new(seed),
            &optional("pubshare").unwrap_or_default(),
            &optional("thresh_pk").unwrap_or_default(),
            optional("msg").as_deref(),
            &optional("extra_in").unwrap_or_default(),
        )
        .unwrap();
        let mut halves = secret.first.bytes().to_vec();
        halves.extend(secret.second.bytes().iter());
        assert_eq!(
            halves,
            bytes(&test["expected"][0]),
            "case {}",
            test["tc_id"]
        );
        assert_eq!(public.to_bytes().to_vec(), bytes(&test["expected"][1]));
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn nonces_are_summed_as_published() {
    let vectors = read("bip445/nonce_agg.json");
    let sum = |test: &Value| {
        public_nonces(&pick(&vectors, "pubnonces", test, "pubnonce_indices"))
            .map(|nonces| AggregateNonce::sum(&nonces))
    };
    for test in list(&vectors["valid_tests"]) {
        let sum = sum(test).unwrap();
        assert_eq!(sum.to_bytes().to_vec(), bytes(&test["expected"]));
        assert_eq!(AggregateNonce::from_bytes(&sum.to_bytes()), Ok(sum));
    }
    for test in list(&vectors["error_tests"]) {
        assert_eq!(sum(test), Err(expected(test)), "case {}", test["tc_id"]);
    }
}

#[test]
fn shares_are_made_and_refused_as_published() {
    let vectors = read("bip445/sign_verify.json");
    let mut count = 0;
    for group in list(&vectors["test_groups"]) {
        for test in list(&group["valid_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            assert_eq!(
                sign(group, test, &[]).unwrap().to_vec(),
                bytes(&test["expected"]),
                "{case}"
            );
            // The same set's public nonces sum to the aggregate.
            let nonces =
                public_nonces(&pick(group, "pubnonces", test, "pubnonce_indices")).unwrap();
            let sum = AggregateNonce::sum(&nonces).to_bytes().to_vec();
            assert_eq!(sum, bytes(&test["aggnonce"]), "{case}");
            count += 1;
        }
        for test in list(&group["sign_error_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            assert_eq!(sign(group, test, &[]), Err(expected(test)), "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 7 + 5 + 6 + 7 + 13 + 11 + 11 + 13);
}

#[test]
fn shares_are_verified_as_published() {
    let vectors = read("bip445/sign_verify.json");
    let mut count = 0;
    for group in list(&vectors["test_groups"]) {
        for test in list(&group["verify_fail_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            let fault = verify(group, test).unwrap().unwrap_err();
            assert!(matches!(fault, ShareFault::Wrong(_)), "{case}");
            count += 1;
        }
        for test in list(&group["verify_error_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            assert_eq!(verify(group, test), Err(expected(test)), "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 20);
}

#[test]
fn tweaks_are_applied_and_refused_as_published() {
    let vectors = read("bip445/tweak.json");
    let mut count = 0;
    for group in list(&vectors["test_groups"]) {
        for test in list(&group["valid_tests"]) {
            let tweaks = pick(group, "tweaks", test, "tweak_indices");
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            let share = sign(group, test, &tweaks).unwrap();
            assert_eq!(share.to_vec(), bytes(&test["expected"]), "{case}");
            count += 1;
        }
        for test in list(&group["error_tests"]) {
            let tweaks = pick(group, "tweaks", test, "tweak_indices");
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            assert_eq!(sign(group, test, &tweaks), Err(expected(test)), "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 44);
}

#[test]
fn shares_are_combined_as_published() {
    let vectors = read("bip445/sig_agg.json");
    let combine = |group: &Value, test: &Value| -> Result<Signature, Fault> {
        let signers = signers(group, test)?;
        let tweaks = pick(group, "tweaks", test, "tweak_indices");
        let key = output_key(&signers, &tweaks, list(&test["is_xonly"]))?;
        let aggregate = aggregate(&array(&test["aggnonce"]))?;
        let message: [u8; 32] = array(&test["msg"]);
        let session = Session::new(&signers, &key, &aggregate, &message).unwrap();
        let shares = list(&test["psigs"])
            .iter()
            .enumerate()
            .map(|(index, share)| {
                SignatureShare::from_bytes(&array(share))
                    .map_err(|Malformed| Fault::Contribution(Some(index), "psig"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let signature = session.combine(&shares).map_err(|error| match error {
            CombineError::Count { .. } => {
                value("The psigs and ids arrays must have the same length.")
            }
            CombineError::Invalid => panic!("invalid signature"),
        })?;
        // Not by our own word: libsecp256k1's BIP-340 verification.
        curve()
            .verify_schnorr(
                &signature,
                &Message::from_digest(message),
                &key.x_only_key().0,
            )
            .unwrap();
        Ok(signature)
    };
    let mut count = 0;
    for group in list(&vectors["test_groups"]) {
        for test in list(&group["valid_tests"]) {
            let signature = combine(group, test).unwrap();
            assert_eq!(signature.serialize().to_vec(), bytes(&test["expected"]));
            count += 1;
        }
        for test in list(&group["error_tests"]) {
            assert_eq!(
                combine(group, test),
                Err(expected(test)),
                "case {}",
                test["tc_id"]
            );
            count += 1;
        }
    }
    assert_eq!(count, 22);
}

/// Deterministic signing exists here alone, to try more of the draft's sessions; a signer of Grail
/// never makes a nonce without fresh randomness (ADR 35).
#[test]
fn deterministic_cases_give_the_published_shares() {
    fn nonce(
        secret: &Zeroizing<[u8; 32]>,
        test: &Value,
        signers: &SignerSet,
        key: &OutputKey,
    ) -> (SecretNonce, PublicNonce) {
        let message = bytes(&test["msg"]);
        let others = test["aggothernonce"]
            .as_str()
            .map_or(Vec::new(), |others| hex::decode(others).unwrap());
        let id = u32::try_from(test["my_id"].as_u64().unwrap()).unwrap();
        let half = |index: u8| {
            Secret::from_hash(
                &Tagged::new("BIP0445/deterministic/nonce")
                    .add(secret.as_slice())
                    .add(&id.to_be_bytes())
                    .add(&u32::try_from(signers.ids().len()).unwrap().to_be_bytes())
                    .add(&signers.id_bytes())
                    .add(&others)
                    .add(&key.x())
                    .add(&(message.len() as u64).to_be_bytes())
                    .add(&message)
                    .add(&[index])
                    .finish_secret(),
            )
            .unwrap()
        };
        SecretNonce::of_halves(half(0), half(1))
    }

    fn run(group: &Value, test: &Value) -> Result<([u8; 66], [u8; 32]), Fault> {
        let signers = signers(group, test)?;
        let tweaks: Vec<&Value> = list(&test["tweaks"]).iter().collect();
        let key = output_key(&signers, &tweaks, list(&test["is_xonly"]))?;
        let share = share(
            &test["my_id"],
            &group["secshares"][number(&test["secshare_index"])],
        )?;
        let seed = match test["rand"].as_str() {
            Some(_) => share.masked(&array(&test["rand"])),
            None => Zeroizing::new(share.secret_bytes()),
        };
        let (secret, public) = nonce(&seed, test, &signers, &key);
        let mut nonces = vec![public];
        if !test["aggothernonce"].is_null() {
            nonces.push(
                PublicNonce::from_bytes(&array(&test["aggothernonce"]))
                    .map_err(|Malformed| Fault::Contribution(None, "aggothernonce"))?,
            );
        }
        let aggregate = AggregateNonce::sum(&nonces);
        let message = bytes(&test["msg"]);
        let session = Session::of_any_message(&signers, &key, &aggregate, &message).unwrap();
        Ok((public.to_bytes(), session.sign(&share, secret)?.to_bytes()))
    }

    let vectors = read("bip445/det_sign.json");
    let mut count = 0;
    for group in list(&vectors["test_groups"]) {
        for test in list(&group["valid_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            let (public, share) = run(group, test).unwrap();
            assert_eq!(public.to_vec(), bytes(&test["expected"][0]), "{case}");
            assert_eq!(share.to_vec(), bytes(&test["expected"][1]), "{case}");
            count += 1;
        }
        for test in list(&group["error_tests"]) {
            let case = format!("case {}: {}", test["tc_id"], test["comment"]);
            assert_eq!(run(group, test).unwrap_err(), expected(test), "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 33 + 48);
}
