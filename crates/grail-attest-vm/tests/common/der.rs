//! Writing DER.

use std::time::Duration;

use grail_attest::UnixTime;
use x509_cert::der::{DateTime, Encode as _, asn1::ObjectIdentifier};
use x509_cert::time::Time;

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const CONTEXT_0: u8 = 0xa0;

pub fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let short: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match short[..] {
        [] => out.push(0),
        [only] if only < 0x80 => out.push(only),
        _ => {
            out.push(0x80 | u8::try_from(short.len()).unwrap());
            out.extend(short);
        }
    }
    out.extend_from_slice(value);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

pub fn oid(text: &str) -> Vec<u8> {
    tlv(OID, ObjectIdentifier::new_unwrap(text).as_bytes())
}

/// A number that is not negative, from its big-endian bytes.
pub fn integer(value: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = value
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    if value.first().is_none_or(|first| *first >= 0x80) {
        value.insert(0, 0);
    }
    tlv(INTEGER, &value)
}

pub fn octets(value: &[u8]) -> Vec<u8> {
    tlv(OCTET_STRING, value)
}

pub fn bits(value: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], value].concat())
}

pub fn name(common_name: &str) -> Vec<u8> {
    let attribute = sequence(&[oid("2.5.4.3"), tlv(UTF8_STRING, common_name.as_bytes())]);
    sequence(&[tlv(SET, &attribute)])
}

pub fn time(at: UnixTime) -> Vec<u8> {
    let date = DateTime::from_unix_duration(Duration::from_secs(at.as_secs())).unwrap();
    Time::from(date).to_der().unwrap()
}
