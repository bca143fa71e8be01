//! How large a charm's data is, found out without copying it.

use std::fmt;

use charms_data::Data;
use serde::de::{EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _, Visitor};
use serde::{Deserialize, Deserializer};

/// How many values `data` is made of, if not more than `max`.
pub(crate) fn count_values(data: &Data, max: usize) -> Option<usize> {
    let Values(count) = data.value().ok()?;
    (count <= max).then_some(count)
}

/// The number of values in one, itself included. No deeper recursion than there was when the data
/// was decoded.
#[derive(Clone, Copy)]
struct Values(usize);

impl Values {
    fn and(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

/// Values that hold no others.
macro_rules! one {
    ($($visit:ident($kind:ty)),+ $(,)?) => {
        $(
            fn $visit<E>(self, _: $kind) -> Result<Values, E> {
                Ok(Values(1))
            }
        )+
    };
}

impl<'de> Visitor<'de> for Counter {
    type Value = Values;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    one! {
        visit_bool(bool),
        visit_i64(i64),
        visit_i128(i128),
        visit_u64(u64),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str),
        visit_bytes(&[u8]),
    }

    fn visit_none<E>(self) -> Result<Values, E> {
        Ok(Values(1))
    }

    fn visit_unit<E>(self) -> Result<Values, E> {
        Ok(Values(1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values, A::Error> {
        let mut count = Values(1);
        while let Some(item) = items.next_element()? {
            count = count.and(item);
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Values, A::Error> {
        let mut count = Values(1);
        while let Some((key, value)) = entries.next_entry::<Values, Values>()? {
            count = count.and(key).and(value);
        }
        Ok(count)
    }

    /// A tag, as `ciborium` shows it: the tag's number and the value under it.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Values, A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        value.tuple_variant(2, self)
    }
}

#[cfg(test)]
mod tests {
    use charms_data::Data;
    use ciborium::Value;

    use super::count_values;

    #[test]
    fn counts_every_value_in_lists_maps_and_tags() {
        let number = || Value::from(7);
        let list = Value::Array(vec![number(), Value::Null, Value::Bytes(vec![1, 2])]);
        for (value, expected) in [
            (number(), 1),
            (Value::from(1.5), 1),
            (Value::from(-7), 1),
            (Value::from("text"), 1),
            (list.clone(), 4),
            (Value::Map(vec![(number(), list.clone())]), 6),
            (Value::Array(vec![list.clone(), list.clone()]), 9),
        ] {
            let data = Data::from(&value);
            assert_eq!(count_values(&data, expected), Some(expected), "{value:?}");
            assert_eq!(count_values(&data, expected - 1), None, "{value:?}");
        }
        let tagged = Data::from(&Value::Tag(9, Box::new(list)));
        assert!(count_values(&tagged, 6).is_some());
        assert_eq!(count_values(&tagged, 3), None);
    }
}
