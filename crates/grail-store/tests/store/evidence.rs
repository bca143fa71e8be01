//! Evidence of signers: the newest of each, and not of everybody.

use grail_store::EVIDENCE_BYTES_MAX;

use crate::support::{NOW, code, new_store, roster};

#[tokio::test]
async fn the_newest_evidence_of_a_signer_stays() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let signer = roster().signers()[0];
    assert_eq!(tx.evidence(&signer).await.unwrap(), None);
    for record in ["first", "second"] {
        tx.put_evidence(&signer, record, 10, NOW).await.unwrap();
        let kept = tx.evidence(&signer).await.unwrap();
        assert_eq!(kept.as_deref(), Some(record));
    }
    let long = "a".repeat(EVIDENCE_BYTES_MAX + 1);
    let refused = tx.put_evidence(&signer, &long, 10, NOW).await;
    assert_eq!(code(refused), "out-of-range");
}

#[tokio::test]
async fn of_too_many_signers_those_seen_last_stay() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let signers = roster().signers().to_vec();
    for (signer, later) in signers.iter().zip(0..) {
        tx.put_evidence(signer, "record", 3, NOW + later)
            .await
            .unwrap();
    }
    let mut kept = Vec::new();
    for signer in &signers {
        kept.push(tx.evidence(signer).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, true, true, true]);
}
