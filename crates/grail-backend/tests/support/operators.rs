//! Signers on paper: keys in simulated enclaves, and their evidence.

use base64::{Engine, prelude::BASE64_STANDARD};
use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Keypair, Secp256k1},
};
use grail_ask::{Challenge, Evidence};
use grail_attest::UnixTime;
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_attest_dev::{InsecureDevTee, development_measurement, development_pcr0};
use grail_backend::{backend::Backend, clock, deployment::SignerRecord};
use grail_broker::messages::{BrokerMessage, decode, encode};
use grail_tee::attest_signer;
use grail_types::{BoundedBytes, Bridge, DevelopmentAllowed, Epoch, Measurement, Network};

/// Signers of the roster.
pub const SIGNER_COUNT: u8 = 4;

/// Key number `seed`.
pub fn keypair(seed: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[seed; 32]).unwrap()
}

/// Its public half.
pub fn key(seed: u8) -> XOnlyPublicKey {
    keypair(seed).x_only_public_key().0
}

/// The image that all signers run.
pub fn measurement() -> Measurement {
    development_measurement(development_pcr0(b"enclave"))
}

/// The document that lists it.
pub fn images() -> Images {
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: measurement(),
    };
    Images::new(1, vec![image]).unwrap()
}

/// Evidence of signer `seed` for a challenge.
pub fn document(seed: u8, bridge: &Bridge, nonce: &[u8], at: UnixTime) -> Vec<u8> {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let tee = InsecureDevTee::new(allowed, measurement().pcr0, [seed; 32], move || at);
    attest_signer(&tee, bridge, &key(seed), Some(nonce)).unwrap()
}

/// Signer `seed` as a deployment admits it.
pub fn record(seed: u8, bridge: &Bridge) -> SignerRecord {
    let (nonce, at) = ([seed; 32], UnixTime::from_secs(1_790_000_000));
    SignerRecord {
        name: format!("operator-{seed}"),
        public_key: key(seed),
        evidence: BASE64_STANDARD.encode(document(seed, bridge, &nonce, at)),
        nonce: hex::encode(nonce),
        pcr0: hex::encode(measurement().pcr0),
        attested_at: at.as_secs(),
    }
}

/// Has the backend's rows say that signers `seeds` showed evidence just now: enough for the bridge
/// to count them, without making any.
pub async fn heard_of(backend: &Backend, seeds: impl IntoIterator<Item = u8>) {
    let mut tx = backend.store.begin().await.unwrap();
    for seed in seeds {
        let mut shown = record(seed, backend.bridge());
        shown.attested_at = clock::now();
        let text = serde_json::to_string(&shown).unwrap();
        let put = tx.put_evidence(&shown.public_key, &text, 100, clock::now());
        put.await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Lets signers `seeds` show fresh evidence over the broker, and waits until the backend has it.
pub async fn show_up(backend: &Backend, seeds: &[u8]) {
    let broker = &backend.broker;
    let mut challenges = broker.subscribe(Challenge::subject()).await.unwrap();
    let before = backend.operators.count();
    let listening = tokio::spawn(
        std::sync::Arc::clone(&backend.operators).run(broker.clone(), Some(backend.store.clone())),
    );
    let name = |seed: u8| format!("fresh-{seed}").parse().unwrap();
    let answering = async {
        while let Some(message) = challenges.next().await {
            let nonce = decode::<Challenge>(&message.payload).unwrap().nonce;
            for &seed in seeds {
                let evidence = Evidence {
                    name: name(seed),
                    nonce,
                    public_key: key(seed),
                    bridge: *backend.bridge(),
                    document: BoundedBytes::new(document(
                        seed,
                        backend.bridge(),
                        &nonce,
                        clock::unix_time(),
                    ))
                    .unwrap(),
                };
                broker
                    .publish(Evidence::subject(), encode(Epoch(0), &evidence).unwrap())
                    .await
                    .unwrap();
            }
        }
    };
    let arrived =
        super::wait::eventually(async || backend.operators.count() == before + seeds.len());
    tokio::select! {
        () = answering => panic!("the broker closed"),
        () = arrived => {}
    }
    listening.abort();
}
