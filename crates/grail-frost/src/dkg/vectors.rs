//! ChillDKG's published vectors (`tests/vectors`): valid ones give the published bytes, invalid
//! ones name the same kind of fault and the same party.

#![allow(clippy::unwrap_used)]

use serde_json::Value;

use crate::{
    Draw, DrawRefused, Group, HolderId, SigningShare,
    dkg::{
        CertifyError, Coordinator, CoordinatorError, CoordinatorFault, Culprit, DealError, Dealt,
        HolderFault, HostKey, Params, ParamsError, ReceiveError, Received, RecoverError, Suspicion,
        deal, investigation, recover, transcript::Parsed, verify,
    },
    hash::Tagged,
    scalar::Secret,
    vectors::{array, bytes, list, read},
};

/// What the reference raises, without its prose, except where the prose tells two faults apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Value,
    HostKey,
    Randomness,
    Threshold,
    InvalidHostKey(u32),
    DuplicateHostKey(u32, u32),
    Holder(u32, String),
    HolderOrCoordinator(u32, String),
    Coordinator(String),
    Unknown,
    Recovery(String),
}

fn expected(test: &Value) -> Fault {
    let error = &test["expectedError"];
    let number = |name: &str| u32::try_from(error[name].as_u64().unwrap()).unwrap();
    let message = || error["message"].as_str().unwrap().to_owned();
    match error["type"].as_str().unwrap() {
        "ValueError" => Fault::Value,
        "HostSeckeyError" => Fault::HostKey,
        "RandomnessError" => Fault::Randomness,
        "ThresholdOrCountError" => Fault::Threshold,
        "InvalidHostPubkeyError" => Fault::InvalidHostKey(number("participantId")),
        "DuplicateHostPubkeyError" => {
            Fault::DuplicateHostKey(number("participantId1"), number("participantId2"))
        }
        "FaultyParticipantError" => Fault::Holder(number("participantId"), message()),
        "FaultyParticipantOrCoordinatorError" => {
            Fault::HolderOrCoordinator(number("participantId"), message())
        }
        "FaultyCoordinatorError" => Fault::Coordinator(message()),
        "UnknownFaultyParticipantOrCoordinatorError" => Fault::Unknown,
        "RecoveryDataError" => Fault::Recovery(message()),
        other => panic!("unknown error {other}"),
    }
}

fn coordinator_prose(fault: CoordinatorFault) -> String {
    match fault {
        CoordinatorFault::Malformed => "malformed",
        CoordinatorFault::OtherEphemeral => "Coordinator replied with wrong pubnonce",
        CoordinatorFault::OtherCommitment => {
            "Coordinator sent unexpected first group element for local participant id"
        }
        CoordinatorFault::Certificate => {
            "Coordinator has provided a certificate with an invalid signature"
        }
        CoordinatorFault::PublicShareSum => "Sum of partial pubshares not equal to pubshare",
        CoordinatorFault::ShareSum => {
            "Sum of encrypted partial secshares not equal to encrypted secshare"
        }
        CoordinatorFault::ShareToMyself => "Coordinator fiddled with the share from me to myself",
    }
    .into()
}

fn holder_prose(fault: HolderFault) -> String {
    match fault {
        HolderFault::Ephemeral => "invalid public nonce",
        HolderFault::Commitment => "Participant sent invalid commitment",
        HolderFault::Possession => "Participant sent invalid proof-of-knowledge",
        HolderFault::Share => "Participant sent invalid partial secshare",
    }
    .into()
}

impl From<ParamsError> for Fault {
    fn from(error: ParamsError) -> Self {
        match error {
            ParamsError::Threshold { .. } => Self::Threshold,
            ParamsError::HostKey(id) => Self::InvalidHostKey(id.0),
            ParamsError::SameHostKey { first, second } => Self::DuplicateHostKey(first.0, second.0),
            ParamsError::NoSpare { .. } | ParamsError::ReductionLoss { .. } => {
                panic!("a rule that the draft lacks: {error}")
            }
        }
    }
}

impl From<CoordinatorError> for Fault {
    fn from(error: CoordinatorError) -> Self {
        match error {
            CoordinatorError::Count { .. } | CoordinatorError::Length(..) => Self::Value,
            CoordinatorError::Malformed(id) => Self::Holder(id.0, "malformed".into()),
            CoordinatorError::Deal(id, fault) => Self::Holder(id.0, holder_prose(fault)),
            CoordinatorError::Signature(id) => Self::Holder(
                id.0,
                "Participant has provided an invalid signature for the certificate".into(),
            ),
            CoordinatorError::Group(error) => panic!("{error}"),
        }
    }
}

impl From<ReceiveError> for Fault {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::OtherHostKey => Self::HostKey,
            ReceiveError::Length(_) => Self::Value,
            ReceiveError::Coordinator(fault) => Self::Coordinator(coordinator_prose(fault)),
            ReceiveError::HolderOrCoordinator(id, fault) => {
                Self::HolderOrCoordinator(id.0, holder_prose(fault))
            }
            ReceiveError::Share(_) => Self::Unknown,
            ReceiveError::Group(_) | ReceiveError::Vanished(_) => panic!("{error}"),
        }
    }
}

impl From<RecoverError> for Fault {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Malformed(_) => {
                Self::Recovery("Failed to deserialize recovery data".into())
            }
            RecoverError::Params(_) => {
                Self::Recovery("Invalid session parameters in recovery data".into())
            }
            RecoverError::Certificate(_) => {
                Self::Recovery("Invalid certificate in recovery data".into())
            }
            RecoverError::NotAHolder => Self::HostKey,
            RecoverError::OtherParams
            | RecoverError::Share
            | RecoverError::Group(_)
            | RecoverError::Vanished(_) => panic!("{error}"),
        }
    }
}

fn params(value: &Value) -> Result<Params, Fault> {
    let keys: Vec<[u8; 33]> = list(&value["hostpubkeys"]).iter().map(array).collect();
    let threshold = usize::try_from(value["t"].as_u64().unwrap()).unwrap();
    Ok(Params::of_draft(&keys, threshold)?)
}

/// A host key as it is, without an operator's normalisation.
fn host(value: &Value) -> Result<HostKey, Fault> {
    let bytes: [u8; 32] = bytes(value).try_into().map_err(|_| Fault::Value)?;
    Ok(HostKey::as_it_is(
        Secret::from_bytes(&bytes).ok_or(Fault::HostKey)?,
    ))
}

fn step1(test: &Value) -> Result<(Dealt, Vec<u8>), Fault> {
    let host = host(&test["hostseckey"])?;
    let params = params(&test["params"])?;
    let random: [u8; 32] = bytes(&test["random"])
        .try_into()
        .map_err(|_| Fault::Value)?;
    let draw = Draw::new(random).map_err(|error| match error {
        DrawRefused::Zero => Fault::Randomness,
        DrawRefused::Repeated => panic!("{error}"),
    })?;
    deal(&host, &params, draw).map_err(|error| match error {
        DealError::NotAHolder => Fault::HostKey,
        DealError::Vanished(_) => panic!("{error}"),
    })
}

/// After the group's first step, which must give its published message.
fn dealt(group: &Value) -> Dealt {
    let (dealt, message) = step1(group).unwrap();
    assert_eq!(message, bytes(&group["pmsg1"]));
    dealt
}

fn messages(group: &Value, pool: &str, test: &Value, indices: &str) -> Vec<Vec<u8>> {
    list(&test[indices])
        .iter()
        .map(|index| bytes(&group[pool][usize::try_from(index.as_u64().unwrap()).unwrap()]))
        .collect()
}

fn check_output(group: &Group, share: Option<&SigningShare>, output: &Value) {
    assert_eq!(group.key().serialize().to_vec(), bytes(&output["threshPk"]));
    let shares: Vec<Vec<u8>> = group
        .public_shares()
        .iter()
        .map(|share| share.serialize().to_vec())
        .collect();
    let published: Vec<Vec<u8>> = list(&output["pubshares"]).iter().map(bytes).collect();
    assert_eq!(shares, published);
    match share {
        Some(share) => assert_eq!(share.secret_bytes().to_vec(), bytes(&output["secshare"])),
        None => assert!(output["secshare"].is_null()),
    }
}

fn total(vectors: &Value) -> u64 {
    vectors["totalTests"].as_u64().unwrap()
}

#[test]
fn host_keys_give_the_published_points() {
    let vectors = read("chilldkg/hostpubkey_gen.json");
    for test in list(&vectors["validTestCases"]) {
        let host = host(&test["hostseckey"]).unwrap();
        assert_eq!(
            host.public.serialize().to_vec(),
            bytes(&test["expectedHostpubkey"])
        );
    }
    for test in list(&vectors["errorTestCases"]) {
        assert_eq!(host(&test["hostseckey"]).err(), Some(expected(test)));
    }
}

#[test]
fn parameters_are_encoded_and_refused_as_published() {
    let vectors = read("chilldkg/params_hash.json");
    for test in list(&vectors["validTestCases"]) {
        let params = params(&test["params"]).unwrap();
        let hash = Tagged::new("BIP DKG/params_hash")
            .add(&params.bytes())
            .finish();
        assert_eq!(hash.to_vec(), bytes(&test["expectedParamsHash"]));
    }
    for test in list(&vectors["errorTestCases"]) {
        assert_eq!(params(&test["params"]), Err(expected(test)));
    }
}

#[test]
fn deals_are_made_and_refused_as_published() {
    let vectors = read("chilldkg/participant_step1.json");
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["validTestCases"]) {
            assert_eq!(step1(test).unwrap().1, bytes(&test["expectedPmsg1"]));
            count += 1;
        }
        for test in list(&group["errorTestCases"]) {
            let fault = step1(test).err();
            assert_eq!(fault, Some(expected(test)), "{}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn deals_are_collected_and_refused_as_published() {
    let vectors = read("chilldkg/coordinator_step1.json");
    let collect = |group: &Value, test: &Value| -> Result<Vec<u8>, Fault> {
        let params = params(&test["params"])?;
        let deals = messages(group, "pmsg1Pool", test, "pmsg1Indices");
        Ok(Coordinator::collect(&params, &deals)?.1)
    };
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["validTestCases"]) {
            assert_eq!(collect(group, test).unwrap(), bytes(&test["expectedCmsg1"]));
            count += 1;
        }
        for test in list(&group["errorTestCases"]) {
            assert_eq!(
                collect(group, test),
                Err(expected(test)),
                "{}",
                test["comment"]
            );
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

fn step2(group: &Value, test: &Value, broadcast: &Value) -> Result<(Received, Vec<u8>), Fault> {
    // A case may bring values of its own.
    let value = |name: &str| {
        if test[name].is_null() {
            &group[name]
        } else {
            &test[name]
        }
    };
    let auxiliary: [u8; 32] = bytes(value("auxRand"))
        .try_into()
        .map_err(|_| Fault::Value)?;
    let (received, signature) =
        dealt(group).receive(&host(value("hostseckey"))?, &bytes(broadcast), &auxiliary)?;
    Ok((received, signature.to_vec()))
}

#[test]
fn broadcasts_are_received_and_refused_as_published() {
    let vectors = read("chilldkg/participant_step2.json");
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["validTestCases"]) {
            let (_, signature) = step2(group, test, &test["cmsg1"]).unwrap();
            assert_eq!(signature, bytes(&test["expectedPmsg2"]));
            count += 1;
        }
        for test in list(&group["errorTestCases"]) {
            let fault = step2(group, test, &test["cmsg1"]).err();
            assert_eq!(fault, Some(expected(test)), "{}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn certificates_are_taken_and_refused_as_published() {
    let vectors = read("chilldkg/participant_finalize.json");
    let finish = |group: &Value, test: &Value| {
        let (received, signature) = step2(group, test, &group["cmsg1"]).unwrap();
        assert_eq!(signature, bytes(&group["pmsg2"]));
        received
            .certify(&bytes(&test["cmsg2"]))
            .map_err(|error| match error {
                CertifyError::Length(_) => Fault::Value,
                CertifyError::Coordinator(fault) => Fault::Coordinator(coordinator_prose(fault)),
            })
    };
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["validTestCases"]) {
            let (key, share, transcript) = finish(group, test).unwrap();
            let output = &test["expectedOutput"];
            check_output(&key, Some(&share), &output["dkgOutput"]);
            assert_eq!(transcript, bytes(&output["recoveryData"]));
            count += 1;
        }
        for test in list(&group["errorTestCases"]) {
            let fault = finish(group, test).err();
            assert_eq!(fault, Some(expected(test)), "{}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn certificates_are_made_and_refused_as_published() {
    let vectors = read("chilldkg/coordinator_finalize.json");
    let finish = |group: &Value, test: &Value| -> Result<_, Fault> {
        let deals: Vec<Vec<u8>> = list(&group["pmsgs1"]).iter().map(bytes).collect();
        let (coordinator, broadcast) = Coordinator::collect(&params(&group["params"])?, &deals)?;
        assert_eq!(broadcast, bytes(&group["cmsg1"]));
        Ok(coordinator.certify(&messages(group, "pmsg2Pool", test, "pmsg2Indices"))?)
    };
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["validTestCases"]) {
            let (certificate, key, transcript) = finish(group, test).unwrap();
            let output = &test["expectedOutput"];
            assert_eq!(certificate, bytes(&output["cmsg2"]));
            check_output(&key, None, &output["dkgOutput"]);
            assert_eq!(transcript, bytes(&output["recoveryData"]));
            count += 1;
        }
        for test in list(&group["errorTestCases"]) {
            let fault = finish(group, test).err();
            assert_eq!(fault, Some(expected(test)), "{}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn investigations_are_made_as_published() {
    let vectors = read("chilldkg/coordinator_investigate.json");
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        let deals: Vec<Vec<u8>> = list(&group["pmsgs1"]).iter().map(bytes).collect();
        for test in list(&group["validTestCases"]) {
            let messages = investigation(&params(&group["params"]).unwrap(), &deals).unwrap();
            let published: Vec<Vec<u8>> =
                list(&test["expectedCinvMsgs"]).iter().map(bytes).collect();
            assert_eq!(messages, published);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn investigations_name_the_published_culprits() {
    let vectors = read("chilldkg/participant_investigate.json");
    let mut count = 0;
    for group in list(&vectors["testGroups"]) {
        for test in list(&group["errorTestCases"]) {
            let index = usize::try_from(test["cmsg1Index"].as_u64().unwrap()).unwrap();
            let suspicion: Box<Suspicion> = match dealt(group).receive(
                &host(&group["hostseckey"]).unwrap(),
                &bytes(&group["cmsg1Pool"][index]),
                &array(&group["auxRand"]),
            ) {
                Err(ReceiveError::Share(suspicion)) => suspicion,
                other => panic!("no suspicion: {other:?}"),
            };
            let investigation = bytes(&test["cinvMsg"]);
            let fault = match suspicion.investigate(&investigation).unwrap() {
                Culprit::Coordinator(fault) => Fault::Coordinator(coordinator_prose(fault)),
                Culprit::HolderOrCoordinator(HolderId(id), fault) => {
                    Fault::HolderOrCoordinator(id, holder_prose(fault))
                }
            };
            assert_eq!(fault, expected(test), "{}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(count, total(&vectors));
}

#[test]
fn shares_are_recovered_and_refused_as_published() {
    let vectors = read("chilldkg/recover.json");
    let run = |test: &Value| -> Result<(Group, Option<SigningShare>, Params), Fault> {
        let transcript = bytes(&test["recoveryData"]);
        let params = Parsed::read(&transcript)
            .map_err(RecoverError::from)?
            .params()
            .map_err(RecoverError::from)?;
        if test["hostseckey"].is_null() {
            return Ok((verify(&params, &transcript)?, None, params));
        }
        let host = host(&test["hostseckey"])?;
        let (group, share) = recover(&host, &params, &transcript)?;
        Ok((group, Some(share), params))
    };
    let mut count = 0;
    for test in list(&vectors["validTestCases"]) {
        let (group, share, parsed) = run(test).unwrap();
        let output = &test["expectedOutput"];
        check_output(&group, share.as_ref(), &output["dkgOutput"]);
        assert_eq!(parsed, params(&output["params"]).unwrap());
        count += 1;
    }
    for test in list(&vectors["errorTestCases"]) {
        let fault = run(test).err();
        assert_eq!(fault, Some(expected(test)), "{}", test["comment"]);
        count += 1;
    }
    assert_eq!(count, total(&vectors));
}
