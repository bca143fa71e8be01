//! Lists and byte strings that stop growing while they are decoded.
//!
//! A list that is checked once it has been read has cost its memory by then: sixteen million empty
//! byte strings fit in sixteen megabytes. These types refuse the first item too many instead.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// At most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

/// At most `MAX` bytes, a byte string on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

/// More than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {max}, got {got}")]
pub struct BoundExceeded {
    /// The bound, in items or bytes.
    pub max: usize,
    /// What was given.
    pub got: usize,
}

fn check(max: usize, got: usize) -> Result<(), BoundExceeded> {
    if got > max {
        return Err(BoundExceeded { max, got });
    }
    Ok(())
}

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// The items, if they are few enough.
    pub fn new(items: Vec<T>) -> Result<Self, BoundExceeded> {
        check(MAX, items.len())?;
        Ok(Self(items))
    }

    /// The items, taken out.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for BoundedVec<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize, const MAX: usize> Serialize for BoundedVec<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items::<T, MAX>(PhantomData))
    }
}

struct Items<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
    type Value = BoundedVec<T, MAX>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        // The announced length allocates nothing: it is foreign.
        let mut read = Vec::new();
        while read.len() < MAX {
            match items.next_element()? {
                Some(item) => read.push(item),
                None => return Ok(BoundedVec(read)),
            }
        }
        // Whatever comes now is one too many, so its value is not even looked at.
        match items.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(BoundedVec(read)),
            Some(_) => Err(A::Error::invalid_length(MAX.saturating_add(1), &self)),
        }
    }
}

impl<const MAX: usize> BoundedBytes<MAX> {
    /// The bytes, if they are few enough.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BoundExceeded> {
        check(MAX, bytes.len())?;
        Ok(Self(bytes))
    }

    /// The bytes, taken out.
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(&self.0))
    }
}

impl<const MAX: usize> Serialize for BoundedBytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedBytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Bytes::<MAX>)
    }
}

struct Bytes<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for Bytes<MAX> {
    type Value = BoundedBytes<MAX>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a byte string of at most {MAX} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        check(MAX, bytes.len()).map_err(E::custom)?;
        Ok(BoundedBytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        BoundedBytes::new(bytes).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn takes_up_to_the_bound_and_refuses_one_more() {
        let json = |count: usize| serde_json::to_string(&vec![7_u8; count]).unwrap();
        for count in 0..=3 {
            let read: BoundedVec<u8, 3> = serde_json::from_str(&json(count)).unwrap();
            assert_eq!(read.len(), count);
        }
        for count in [4, 5, 1_000] {
            assert!(serde_json::from_str::<BoundedVec<u8, 3>>(&json(count)).is_err());
        }
        assert_eq!(
            BoundedVec::<u8, 3>::new(vec![0; 4]),
            Err(BoundExceeded { max: 3, got: 4 })
        );
        assert!(BoundedBytes::<3>::new(vec![0; 4]).is_err());
        assert!(BoundedBytes::<3>::new(vec![0; 3]).is_ok());
    }

    #[test]
    fn an_item_too_many_is_never_decoded() {
        /// Decoding one fails.
        #[derive(Debug)]
        struct Never;
        impl<'de> Deserialize<'de> for Never {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(D::Error::custom("decoded"))
            }
        }
        let error = serde_json::from_str::<BoundedVec<Never, 0>>("[1]").unwrap_err();
        assert!(error.to_string().contains("at most 0"), "{error}");
    }
}
