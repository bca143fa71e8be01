//! Operators' answers.

use grail_flow::{SettlementId, SettlementState};
use grail_store::{
    DETAILS_BYTES_MAX, NewAnswer, Recorded, SIGNATURES_BYTES_MAX, StoreError, StoreTx, Verdict,
};
use grail_types::{Epoch, SignerIndex};

use crate::support::{NOW, code, create_settlement, move_settlement, new_store, outpoint};

fn signed(byte: u8) -> Verdict {
    Verdict::Signed {
        signatures: vec![byte; 64],
    }
}

fn refused(details: &str) -> Verdict {
    Verdict::Refused {
        code: "fee-above-cap".into(),
        details: details.into(),
    }
}

/// Records an answer of a signer to an attempt.
async fn record(
    tx: &mut StoreTx,
    settlement: SettlementId,
    (signer, attempt): (u16, u32),
    verdict: &Verdict,
    now: u64,
) -> Result<Recorded, StoreError> {
    let answer = NewAnswer {
        settlement,
        signer: SignerIndex(signer),
        epoch: Epoch(3),
        attempt,
        verdict,
    };
    tx.record_answer(&answer, now).await
}

#[tokio::test]
async fn the_first_answer_of_a_signer_counts_and_late_ones_are_marked() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = create_settlement(&mut tx, outpoint(50), &[]).await.unwrap();
    move_settlement(&mut tx, id, SettlementState::Asked { round: 1 })
        .await
        .unwrap();
    let faulty = Verdict::Faulty {
        code: "bad-signature".into(),
        details: "input 3".into(),
    };
    for (signer, verdict, expected) in [
        (0, signed(1), Recorded::New),
        (0, signed(2), Recorded::Known),
        (0, refused(""), Recorded::Known),
        (u16::MAX, refused("why"), Recorded::New),
        (1, faulty.clone(), Recorded::New),
    ] {
        let recorded = record(&mut tx, id, (signer, 1), &verdict, NOW).await;
        assert_eq!(recorded.unwrap(), expected);
    }
    move_settlement(&mut tx, id, SettlementState::Signed {})
        .await
        .unwrap();
    let late = record(&mut tx, id, (2, 1), &signed(3), NOW + 9).await;
    assert_eq!(late.unwrap(), Recorded::New);

    let answers = tx.answers(id).await.unwrap();
    let read: Vec<_> = answers
        .iter()
        .map(|answer| (answer.signer.0, answer.verdict.clone(), answer.late))
        .collect();
    assert_eq!(
        read,
        [
            (0, signed(1), false),
            (1, faulty, false),
            (2, signed(3), true),
            (u16::MAX, refused("why"), false),
        ]
    );
    assert_eq!(answers[2].received_at, NOW + 9);
}

#[tokio::test]
async fn an_answer_about_nothing_or_without_measure_is_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = create_settlement(&mut tx, outpoint(50), &[]).await.unwrap();
    let nothing = record(&mut tx, SettlementId(9), (0, 0), &signed(1), NOW).await;
    assert_eq!(code(nothing), "not-found");
    let too_long = [
        refused(&"x".repeat(DETAILS_BYTES_MAX + 1)),
        Verdict::Faulty {
            code: "x".repeat(65),
            details: String::new(),
        },
        Verdict::Signed {
            signatures: vec![0; SIGNATURES_BYTES_MAX + 1],
        },
    ];
    for verdict in &too_long {
        let recorded = record(&mut tx, id, (0, 0), verdict, NOW).await;
        assert_eq!(code(recorded), "out-of-range");
    }
    let longest = Verdict::Signed {
        signatures: vec![0; SIGNATURES_BYTES_MAX],
    };
    let recorded = record(&mut tx, id, (0, 0), &longest, NOW).await;
    assert_eq!(recorded.unwrap(), Recorded::New);
    let longest = refused(&"x".repeat(DETAILS_BYTES_MAX));
    let recorded = record(&mut tx, id, (1, 0), &longest, NOW).await;
    assert_eq!(recorded.unwrap(), Recorded::New);
}

#[tokio::test]
async fn a_no_counts_for_its_attempt_and_a_signature_for_all() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = create_settlement(&mut tx, outpoint(50), &[]).await.unwrap();
    for (attempt, verdict, expected) in [
        (0, refused("first"), Recorded::New),
        (0, refused("again"), Recorded::Known),
        (1, refused("second"), Recorded::New),
        // Also to an attempt that it refused before, and whatever it says later.
        (0, signed(7), Recorded::New),
        (2, refused("third"), Recorded::Known),
        (2, signed(8), Recorded::Known),
    ] {
        let recorded = record(&mut tx, id, (4, attempt), &verdict, NOW).await;
        assert_eq!(recorded.unwrap(), expected, "{attempt} {verdict:?}");
        let [answer] = &tx.answers(id).await.unwrap()[..] else {
            panic!("one answer of one signer");
        };
        assert_eq!(answer.epoch, Epoch(3));
        match &answer.verdict {
            Verdict::Signed { .. } => assert_eq!(answer.verdict, signed(7)),
            Verdict::Refused { details, .. } => {
                assert_eq!(details, ["first", "second"][answer.attempt as usize]);
            }
            Verdict::Faulty { .. } => panic!("nothing faulty was recorded"),
        }
    }
}
