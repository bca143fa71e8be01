use grail_attest::{
    CborError, DOCUMENT_BYTES_MAX, EvidenceError, TrustAnchor, verify,
    writing::{PROTECTED_HEADER, Writer},
};
use grail_attest_dev::{encode_payload, sign_document};
use p384::ecdsa::Signature;

use super::{AT, accepted, anchor, genuine, payload_of, plans_at, refusal};

/// The genuine document's payload and signature.
fn parts() -> (Vec<u8>, Vec<u8>) {
    let document = genuine();
    let payload = payload_of(&document);
    let signature = document.last_chunk::<96>().unwrap().to_vec();
    (payload, signature)
}

fn envelope(write: impl FnOnce(&mut Writer, &[u8], &[u8])) -> Vec<u8> {
    let (payload, signature) = parts();
    let mut writer = Writer::default();
    write(&mut writer, &payload, &signature);
    writer.into_bytes()
}

fn in_envelope(source: CborError) -> EvidenceError {
    EvidenceError::Cbor {
        part: "cose envelope",
        source,
    }
}

#[test]
fn accepts_the_envelope_that_nitro_writes() {
    let document = envelope(|writer, payload, signature| {
        writer
            .array(4)
            .bytes(&PROTECTED_HEADER)
            .map(0)
            .bytes(payload)
            .bytes(signature);
    });
    assert_eq!(
        document.get(..7).unwrap(),
        [0x84, 0x44, 0xa1, 1, 0x38, 0x22, 0xa0]
    );
    accepted(&document);
}

#[test]
fn refuses_a_tagged_envelope() {
    let mut document = genuine();
    document.insert(0, 0xd2);
    assert_eq!(
        refusal(&document),
        in_envelope(CborError::Type {
            expected: "array",
            initial: 0xd2
        })
    );
}

#[test]
fn refuses_bytes_after_the_envelope() {
    let mut document = genuine();
    document.push(0);
    assert_eq!(
        refusal(&document),
        in_envelope(CborError::Trailing { count: 1 })
    );
}

#[test]
fn refuses_three_or_five_items() {
    for got in [3, 5] {
        let document = envelope(|writer, payload, signature| {
            writer
                .array(got)
                .bytes(&PROTECTED_HEADER)
                .map(0)
                .bytes(payload)
                .bytes(signature)
                .bytes(&[]);
        });
        assert_eq!(
            refusal(&document),
            EvidenceError::CoseShape { got: got as u64 }
        );
    }
}

#[test]
fn refuses_every_protected_header_but_es384() {
    let others: [&[u8]; 5] = [
        // ES256, ES512, none at all, `crit` beside the algorithm, the algorithm in a longer
        // encoding.
        &[0xa1, 0x01, 0x26],
        &[0xa1, 0x01, 0x38, 0x23],
        &[],
        &[0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x01],
        &[0xa1, 0x01, 0x39, 0x00, 0x22],
    ];
    for header in others {
        let document = envelope(|writer, payload, signature| {
            writer
                .array(4)
                .bytes(header)
                .map(0)
                .bytes(payload)
                .bytes(signature);
        });
        let got = hex::encode(header);
        assert_eq!(refusal(&document), EvidenceError::ProtectedHeader { got });
    }
}

#[test]
fn refuses_an_unprotected_header() {
    let document = envelope(|writer, payload, signature| {
        writer.array(4).bytes(&PROTECTED_HEADER).map(1);
        writer.unsigned(4).bytes(b"key id");
        writer.bytes(payload).bytes(signature);
    });
    assert_eq!(
        refusal(&document),
        EvidenceError::UnprotectedHeader { got: 1 }
    );
}

#[test]
fn refuses_a_der_signature() {
    let (_, signature) = parts();
    let der = Signature::from_slice(&signature).unwrap().to_der();
    let document = envelope(|writer, payload, _| {
        writer
            .array(4)
            .bytes(&PROTECTED_HEADER)
            .map(0)
            .bytes(payload)
            .bytes(der.as_bytes());
    });
    let got = der.as_bytes().len();
    assert_eq!(refusal(&document), EvidenceError::SignatureLength { got });
}

#[test]
fn refuses_a_length_in_a_longer_form() {
    let document = envelope(|writer, payload, signature| {
        writer
            .array(4)
            .encoded(&[0x58, 4])
            .encoded(&PROTECTED_HEADER)
            .map(0)
            .bytes(payload)
            .bytes(signature);
    });
    assert_eq!(
        refusal(&document),
        in_envelope(CborError::NotShortest { value: 4 })
    );
}

#[test]
fn refuses_a_signature_of_another_key_and_of_no_key() {
    let (chain, document) = plans_at(AT);
    let stranger = chain.intermediates.first().unwrap().key.clone();
    let chain = chain.issue();
    let payload = encode_payload(&document.entries(&chain.cabundle, &chain.leaf));
    assert_eq!(
        refusal(&sign_document(&payload, &stranger)),
        EvidenceError::DocumentSignature
    );

    let mut zeros = genuine();
    *zeros.last_chunk_mut::<96>().unwrap() = [0; 96];
    assert_eq!(refusal(&zeros), EvidenceError::DocumentSignature);
}

#[test]
fn reads_up_to_16_kib() {
    let fits = vec![0; DOCUMENT_BYTES_MAX];
    assert_eq!(refusal(&fits).code(), "document-cbor");
    let exceeds = vec![0; DOCUMENT_BYTES_MAX + 1];
    assert_eq!(
        refusal(&exceeds),
        EvidenceError::DocumentTooLarge {
            max: 16_384,
            got: 16_385
        }
    );
}

#[test]
fn refuses_a_development_document_under_the_aws_root() {
    let error = verify(&genuine(), &TrustAnchor::aws_nitro(), AT).unwrap_err();
    assert_eq!(
        error,
        EvidenceError::Root {
            expected: hex::encode(TrustAnchor::aws_nitro().digest()),
            got: hex::encode(anchor().digest()),
        }
    );
}
