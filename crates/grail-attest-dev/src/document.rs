//! Writing documents.

use grail_attest::{
    UnixTime,
    writing::{PROTECTED_HEADER, Writer, signed_bytes},
};
use p384::ecdsa::{Signature, SigningKey, signature::Signer};

/// A document to be made; the chain comes when it is encoded.
pub struct DocumentPlan {
    /// The name of the enclave's run.
    pub module_id: String,
    /// The hash function of the registers.
    pub digest: String,
    /// When it was made.
    pub timestamp: UnixTime,
    /// Registers by index, in the order to be written.
    pub pcrs: Vec<(u64, Vec<u8>)>,
    /// The field of this name; `None` is written as null.
    pub public_key: Option<Vec<u8>>,
    /// The field of this name; `None` is written as null.
    pub user_data: Option<Vec<u8>>,
    /// The field of this name; `None` is written as null.
    pub nonce: Option<Vec<u8>>,
}

impl DocumentPlan {
    /// The payload's entries, in the order of Nitro's.
    pub fn entries(&self, cabundle: &[Vec<u8>], leaf: &[u8]) -> Vec<(&str, Vec<u8>)> {
        let pcrs = encoded(|writer| {
            writer.map(self.pcrs.len());
            for (index, pcr) in &self.pcrs {
                writer.unsigned(*index).bytes(pcr);
            }
        });
        let cabundle = encoded(|writer| {
            writer.array(cabundle.len());
            for certificate in cabundle {
                writer.bytes(certificate);
            }
        });
        let text = |value: &str| encoded(|writer| _ = writer.text(value));
        let optional =
            |value: &Option<Vec<u8>>| encoded(|writer| _ = writer.bytes_or_null(value.as_deref()));
        let timestamp = self.timestamp.as_millis();
        vec![
            ("module_id", text(&self.module_id)),
            ("digest", text(&self.digest)),
            (
                "timestamp",
                encoded(|writer| _ = writer.unsigned(timestamp)),
            ),
            ("pcrs", pcrs),
            ("certificate", encoded(|writer| _ = writer.bytes(leaf))),
            ("cabundle", cabundle),
            ("public_key", optional(&self.public_key)),
            ("user_data", optional(&self.user_data)),
            ("nonce", optional(&self.nonce)),
        ]
    }
}

/// The map of a payload's entries.
pub fn encode_payload(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    encoded(|writer| {
        writer.map(entries.len());
        for (key, value) in entries {
            writer.text(key).encoded(value);
        }
    })
}

fn encoded(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.into_bytes()
}

/// The envelope around a payload, signed with the leaf's key.
pub fn sign_document(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature: Signature = key.sign(&signed_bytes(payload));
    let mut writer = Writer::default();
    writer
        .array(4)
        .bytes(&PROTECTED_HEADER)
        .map(0)
        .bytes(payload)
        .bytes(&signature.to_bytes());
    writer.into_bytes()
}
