//! Values have one encoding.

use grail_app::{AppId, Wire, cbor::Fault};
use proptest::prelude::*;

use crate::club::{Cell, Config, Order, State, token};

fn only<T: Wire + PartialEq + std::fmt::Debug>(value: &T, bytes: &[u8]) {
    assert_eq!(value.to_bytes(), bytes);
    assert_eq!(T::from_bytes(bytes).as_ref(), Ok(value));
    let longer = [bytes, &[0]].concat();
    assert_eq!(T::from_bytes(&longer), Err(Fault::Trailing));
    for length in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..length]).is_err());
    }
}

#[test]
fn each_type_is_written_like_this() {
    only(&7_u8, &[7]);
    only(&256_u16, &[0x19, 1, 0]);
    only(&u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]);
    only(&1_u128, &[&[0x50][..], &[0; 15], &[1]].concat());
    only(&true, &[1]);
    only(&[1_u8, 2], &[0x42, 1, 2]);
    only(&Some(3_u8), &[3]);
    only(&None::<u8>, &[0xf6]);
    only(&vec![1_u8, 2], &[0x82, 1, 2]);
    only(&(), &[0x80]);
    only(&Cell { note: 4 }, &[0x82, 1, 4]);
    only(&Order::Join {}, &[0x81, 0]);
    only(&Order::Open { note: 4 }, &[0x82, 1, 4]);
    let app = [
        &[0x83, 0x18, b'f', 0x58, 32][..],
        &[3; 32],
        &[0x58, 32],
        &[0x22; 32],
    ]
    .concat();
    only(&token(3), &app);
}

#[test]
fn what_is_no_value_of_the_type_is_refused() {
    assert_eq!(u8::from_bytes(&[0x19, 1, 0]), Err(Fault::Range));
    assert_eq!(u8::from_bytes(&[0x18, 23]), Err(Fault::Head));
    assert_eq!(bool::from_bytes(&[2]), Err(Fault::Range));
    assert_eq!(<[u8; 2]>::from_bytes(&[0x43, 1, 2, 3]), Err(Fault::Type));
    assert_eq!(Cell::from_bytes(&[0x82, 2, 4]), Err(Fault::Range));
    assert_eq!(Cell::from_bytes(&[0x83, 1, 4, 4]), Err(Fault::Type));
    assert_eq!(Order::from_bytes(&[0x81, 9]), Err(Fault::Range));
    assert_eq!(Order::from_bytes(&[0x82, 0, 0]), Err(Fault::Type));
    assert_eq!(
        Vec::<u8>::from_bytes(&[0x9a, 255, 255, 255, 255]),
        Err(Fault::Cut)
    );
    let mut surrogate = token(3).to_bytes();
    surrogate.splice(1..3, [0x19, 0xd8, 0]);
    assert_eq!(AppId::from_bytes(&surrogate), Err(Fault::Range));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_it_reads_it_writes(bytes: Vec<u8>) {
        if let Ok(value) = Config::from_bytes(&bytes) {
            prop_assert_eq!(value.to_bytes(), bytes.clone());
        }
        if let Ok(value) = State::from_bytes(&bytes) {
            prop_assert_eq!(value.to_bytes(), bytes.clone());
        }
        if let Ok(value) = Order::from_bytes(&bytes) {
            prop_assert_eq!(value.to_bytes(), bytes);
        }
    }
}
