//! The envelope of a document: `COSE_Sign1` (RFC 9052, section 4.2), untagged, ES384 alone.

use p384::ecdsa::{Signature, VerifyingKey, signature::Verifier};

use crate::{
    cbor::{Reader, Writer},
    error::{EvidenceError, in_part},
};

/// `{1: -35}`: alg ES384 and nothing else, so neither another algorithm nor `crit` can be said.
pub const PROTECTED_HEADER: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
const SIGNATURE_BYTES: usize = 96;

/// An envelope taken apart, its signature not yet verified.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, EvidenceError> {
        let at = in_part("cose envelope");
        let mut reader = Reader::new(bytes);
        let items = reader.array().map_err(&at)?;
        if items != 4 {
            return Err(EvidenceError::CoseShape { got: items });
        }
        let protected = reader.bytes().map_err(&at)?;
        if protected != PROTECTED_HEADER {
            let shown = protected.get(..16).unwrap_or(protected);
            return Err(EvidenceError::ProtectedHeader {
                got: hex::encode(shown),
            });
        }
        let unprotected = reader.map().map_err(&at)?;
        if unprotected != 0 {
            return Err(EvidenceError::UnprotectedHeader { got: unprotected });
        }
        let payload = reader.bytes().map_err(&at)?;
        let signature = reader.bytes().map_err(&at)?;
        if signature.len() != SIGNATURE_BYTES {
            return Err(EvidenceError::SignatureLength {
                got: signature.len(),
            });
        }
        reader.finish().map_err(&at)?;
        Ok(Self { payload, signature })
    }

    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), EvidenceError> {
        let signature =
            Signature::from_slice(self.signature).map_err(|_| EvidenceError::DocumentSignature)?;
        key.verify(&signed_bytes(self.payload), &signature)
            .map_err(|_| EvidenceError::DocumentSignature)
    }
}

/// `Sig_structure` (RFC 9052, section 4.4): what ES384 signs.
pub fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .array(4)
        .text("Signature1")
        .bytes(&PROTECTED_HEADER)
        .bytes(&[])
        .bytes(payload);
    writer.into_bytes()
}
