//! Keys, signatures and ids as byte strings: the libraries' own form is a list of integers, nearly
//! twice as long.

/// Transaction ids, 32 bytes in the order of the hash.
pub mod txid {
    use bitcoin::{Txid, hashes::Hash};
    use serde::{Deserializer, Serializer};

    /// As `#[serde(with)]` asks.
    pub fn serialize<S: Serializer>(txid: &Txid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&txid.to_byte_array())
    }

    /// As `#[serde(with)]` asks.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Txid, D::Error> {
        serde_bytes::deserialize(deserializer).map(Txid::from_byte_array)
    }
}

/// BIP-340 public keys, 32 bytes.
pub mod public_key {
    use bitcoin::XOnlyPublicKey;
    use serde::{Deserializer, Serializer, de::Error};

    /// As `#[serde(with)]` asks.
    pub fn serialize<S: Serializer>(
        key: &XOnlyPublicKey,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&key.serialize())
    }

    /// As `#[serde(with)]` asks.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<XOnlyPublicKey, D::Error> {
        let bytes: [u8; 32] = serde_bytes::deserialize(deserializer)?;
        XOnlyPublicKey::from_slice(&bytes).map_err(D::Error::custom)
    }
}

/// BIP-340 signatures, 64 bytes.
pub mod signature {
    use bitcoin::secp256k1::schnorr::Signature;
    use serde::{Deserializer, Serializer, de::Error};

    /// As `#[serde(with)]` asks.
    pub fn serialize<S: Serializer>(
        signature: &Signature,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(signature.as_ref())
    }

    /// As `#[serde(with)]` asks.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let bytes: [u8; 64] = serde_bytes::deserialize(deserializer)?;
        Signature::from_slice(&bytes).map_err(D::Error::custom)
    }
}
