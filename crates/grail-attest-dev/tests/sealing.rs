//! Secrets that a simulated enclave seals.
#![allow(clippy::unwrap_used)]

use grail_attest::UnixTime;
use grail_attest_dev::InsecureDevTee;
use grail_tee::{SEALED_PLAINTEXT_BYTES_MAX, SealContext, SealError, SealNonce, Sealer, Tee};
use grail_types::{Bridge, BridgeApp, DevelopmentAllowed, Network};

const CONTEXT: SealContext<'static> = SealContext {
    purpose: "signer-key",
    bridge: Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [4; 32],
            vk: [5; 32],
        },
    },
};

fn tee(pcr0: u8, hardware_id: u8) -> InsecureDevTee {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let clock = || UnixTime::from_secs(1_795_000_000);
    InsecureDevTee::new(allowed, [pcr0; 48], [hardware_id; 32], clock)
}

fn nonce(byte: u8) -> SealNonce {
    SealNonce::from_random([byte; SealNonce::BYTES])
}

fn sealed(plaintext: &[u8]) -> Vec<u8> {
    tee(7, 1).seal(plaintext, &CONTEXT, nonce(3)).unwrap()
}

#[test]
fn opens_what_the_same_program_sealed_on_the_same_machine() {
    let largest = vec![9; SEALED_PLAINTEXT_BYTES_MAX];
    for plaintext in [&b""[..], b"a secret", &largest] {
        let opened = tee(7, 1).open(&sealed(plaintext), &CONTEXT).unwrap();
        assert_eq!(*opened, plaintext);
    }
}

#[test]
fn does_not_open_for_another_program_machine_purpose_or_bridge() {
    let sealed = sealed(b"a secret");
    assert_eq!(tee(8, 1).open(&sealed, &CONTEXT), Err(SealError::Foreign));
    assert_eq!(tee(7, 2).open(&sealed, &CONTEXT), Err(SealError::Foreign));
    let purpose = SealContext {
        purpose: "session-key",
        ..CONTEXT
    };
    assert_eq!(tee(7, 1).open(&sealed, &purpose), Err(SealError::Foreign));
    let changes: [fn(&mut Bridge); 3] = [
        |bridge| bridge.network = Network::Signet,
        |bridge| bridge.app.identity[0] ^= 1,
        |bridge| bridge.app.vk[0] ^= 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = CONTEXT;
        change(&mut other.bridge);
        let opened = tee(7, 1).open(&sealed, &other);
        assert_eq!(opened, Err(SealError::Foreign), "change {index}");
    }
}

#[test]
fn does_not_open_with_any_byte_changed_or_cut_off() {
    let genuine = sealed(b"a secret");
    for position in 0..genuine.len() {
        let mut changed = genuine.clone();
        *changed.get_mut(position).unwrap() ^= 1;
        let expected = match position {
            0 => SealError::Malformed,
            _ => SealError::Foreign,
        };
        assert_eq!(tee(7, 1).open(&changed, &CONTEXT), Err(expected));
        let cut = genuine.get(..position).unwrap();
        let expected = match position {
            0..=24 => SealError::Malformed,
            _ => SealError::Foreign,
        };
        assert_eq!(tee(7, 1).open(cut, &CONTEXT), Err(expected), "{position}");
    }
}

#[test]
fn refuses_more_than_64_kib() {
    let max = SEALED_PLAINTEXT_BYTES_MAX;
    let large = vec![0; max + 1];
    assert_eq!(
        tee(7, 1).seal(&large, &CONTEXT, nonce(3)),
        Err(SealError::TooLarge { max, got: max + 1 })
    );
    let max = max + 41;
    assert_eq!(
        tee(7, 1).open(&vec![1; max + 1], &CONTEXT),
        Err(SealError::TooLarge { max, got: max + 1 })
    );
}

#[test]
fn another_nonce_gives_another_ciphertext() {
    let one = tee(7, 1).seal(b"a secret", &CONTEXT, nonce(1)).unwrap();
    let two = tee(7, 1).seal(b"a secret", &CONTEXT, nonce(2)).unwrap();
    assert_ne!(one.get(25..), two.get(25..));
}

#[test]
fn a_tee_is_one_object_that_attests_and_seals() {
    let tee: Box<dyn Tee> = Box::new(tee(7, 1));
    let sealed = tee.seal(b"a secret", &CONTEXT, nonce(3)).unwrap();
    assert_eq!(*tee.open(&sealed, &CONTEXT).unwrap(), b"a secret");
}
