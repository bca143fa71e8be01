//! Operators' answers.

use grail_flow::{SettlementId, SettlementState};
use grail_store::{DETAILS_BYTES_MAX, Recorded, SIGNATURES_BYTES_MAX, Verdict};
use grail_types::SignerIndex;

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
        let recorded = tx
            .record_answer(id, SignerIndex(signer), &verdict, NOW)
            .await;
        assert_eq!(recorded.unwrap(), expected);
    }
    move_settlement(&mut tx, id, SettlementState::Signed {})
        .await
        .unwrap();
    let late = tx
        .record_answer(id, SignerIndex(2), &signed(3), NOW + 9)
        .await;
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
    let signer = SignerIndex(0);
    let nothing = tx
        .record_answer(SettlementId(9), signer, &signed(1), NOW)
        .await;
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
        let recorded = tx.record_answer(id, signer, verdict, NOW).await;
        assert_eq!(code(recorded), "out-of-range");
    }
    let longest = Verdict::Signed {
        signatures: vec![0; SIGNATURES_BYTES_MAX],
    };
    let recorded = tx.record_answer(id, signer, &longest, NOW).await;
    assert_eq!(recorded.unwrap(), Recorded::New);
    let longest = refused(&"x".repeat(DETAILS_BYTES_MAX));
    let recorded = tx.record_answer(id, SignerIndex(1), &longest, NOW).await;
    assert_eq!(recorded.unwrap(), Recorded::New);
}
