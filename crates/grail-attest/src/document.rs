//! The payload of a document: nine named fields, taken strictly and by exact shape.

use crate::{
    cbor::{MapLength, Reader},
    error::{EvidenceError, in_part},
    time::UnixTime,
};

/// Real documents have 4.2 to 5.2 KB; more is refused unread, so that a peer cannot make us work.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024;
/// What the Nitro hypervisor itself allows for `user_data`.
pub const USER_DATA_BYTES_MAX: usize = 512;
/// What the Nitro hypervisor itself allows for `nonce`.
pub const NONCE_BYTES_MAX: usize = 512;
/// What the Nitro hypervisor itself allows for `public_key`.
pub const PUBLIC_KEY_BYTES_MAX: usize = 1024;
/// Real ones have 39 bytes.
pub const MODULE_ID_BYTES_MAX: usize = 128;
/// Real chains have four; each more costs a P-384 verification.
pub const CABUNDLE_MAX: u64 = 8;
/// A Nitro enclave has 32 registers.
pub const PCR_COUNT_MAX: usize = 32;

const CERTIFICATE_BYTES_MAX: usize = 1024;
/// Every document carries PCR0 to PCR15.
const PCR_COUNT_MIN: usize = 16;
/// A register holds a SHA-384.
pub const PCR_BYTES: usize = 48;

const MODULE_ID: &str = "module_id";
const DIGEST: &str = "digest";
const TIMESTAMP: &str = "timestamp";
const PCRS: &str = "pcrs";
const CERTIFICATE: &str = "certificate";
const CABUNDLE: &str = "cabundle";
const PUBLIC_KEY: &str = "public_key";
const USER_DATA: &str = "user_data";
const NONCE: &str = "nonce";
const KEY_COUNT: u64 = 9;

pub(crate) type Pcrs = [Option<[u8; PCR_BYTES]>; PCR_COUNT_MAX];

/// A payload taken apart; nothing in it is verified yet.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) module_id: &'a str,
    pub(crate) timestamp: UnixTime,
    pub(crate) pcrs: Pcrs,
    pub(crate) certificate: &'a [u8],
    pub(crate) cabundle: Vec<&'a [u8]>,
    pub(crate) public_key: Option<&'a [u8]>,
    pub(crate) user_data: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a [u8]>,
}

/// A value that is present as bytes or as null.
struct Nullable<'a>(Option<&'a [u8]>);

#[derive(Default)]
struct Fields<'a> {
    module_id: Option<&'a str>,
    digest: Option<()>,
    timestamp: Option<UnixTime>,
    pcrs: Option<Pcrs>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<Nullable<'a>>,
    user_data: Option<Nullable<'a>>,
    nonce: Option<Nullable<'a>>,
}

impl<'a> Payload<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, EvidenceError> {
        let at = in_part("payload");
        let mut reader = Reader::new(bytes);
        let mut fields = Fields::default();
        match reader.map_definite_or_not().map_err(&at)? {
            MapLength::Definite(KEY_COUNT) => {
                for _ in 0..KEY_COUNT {
                    fields.read_entry(&mut reader)?;
                }
            }
            MapLength::Definite(got) => return Err(EvidenceError::EntryCount { got }),
            // Ends: a tenth entry is an unknown or duplicate key.
            MapLength::UntilBreak => {
                while !reader.at_break().map_err(&at)? {
                    fields.read_entry(&mut reader)?;
                }
            }
        }
        reader.finish().map_err(&at)?;
        fields.complete()
    }
}

impl<'a> Fields<'a> {
    fn read_entry(&mut self, reader: &mut Reader<'a>) -> Result<(), EvidenceError> {
        match reader.text().map_err(in_part("payload key"))? {
            MODULE_ID => {
                let value = reader.text().map_err(in_part(MODULE_ID))?;
                bounded(MODULE_ID, value.as_bytes(), 1, MODULE_ID_BYTES_MAX)?;
                once(&mut self.module_id, MODULE_ID, value)
            }
            DIGEST => match reader.text().map_err(in_part(DIGEST))? {
                "SHA384" => once(&mut self.digest, DIGEST, ()),
                other => Err(EvidenceError::DigestAlgorithm {
                    got: shortened(other),
                }),
            },
            TIMESTAMP => {
                let millis = reader.unsigned().map_err(in_part(TIMESTAMP))?;
                once(
                    &mut self.timestamp,
                    TIMESTAMP,
                    UnixTime::from_millis(millis),
                )
            }
            PCRS => once(&mut self.pcrs, PCRS, read_pcrs(reader)?),
            CERTIFICATE => {
                let value = read_certificate(reader, CERTIFICATE)?;
                once(&mut self.certificate, CERTIFICATE, value)
            }
            CABUNDLE => once(&mut self.cabundle, CABUNDLE, read_cabundle(reader)?),
            PUBLIC_KEY => {
                let value = read_optional(reader, PUBLIC_KEY, PUBLIC_KEY_BYTES_MAX)?;
                once(&mut self.public_key, PUBLIC_KEY, value)
            }
            USER_DATA => {
                let value = read_optional(reader, USER_DATA, USER_DATA_BYTES_MAX)?;
                once(&mut self.user_data, USER_DATA, value)
            }
            NONCE => {
                let value = read_optional(reader, NONCE, NONCE_BYTES_MAX)?;
                once(&mut self.nonce, NONCE, value)
            }
            other => Err(EvidenceError::UnknownKey {
                key: shortened(other),
            }),
        }
    }

    fn complete(self) -> Result<Payload<'a>, EvidenceError> {
        present(self.digest, DIGEST)?;
        Ok(Payload {
            module_id: present(self.module_id, MODULE_ID)?,
            timestamp: present(self.timestamp, TIMESTAMP)?,
            pcrs: present(self.pcrs, PCRS)?,
            certificate: present(self.certificate, CERTIFICATE)?,
            cabundle: present(self.cabundle, CABUNDLE)?,
            public_key: present(self.public_key, PUBLIC_KEY)?.0,
            user_data: present(self.user_data, USER_DATA)?.0,
            nonce: present(self.nonce, NONCE)?.0,
        })
    }
}

fn read_pcrs(reader: &mut Reader<'_>) -> Result<Pcrs, EvidenceError> {
    let at = in_part(PCRS);
    let mut pcrs: Pcrs = [None; PCR_COUNT_MAX];
    // Ends within 33 rounds: each takes a free slot or refuses.
    for _ in 0..reader.map().map_err(&at)? {
        let index = reader.unsigned().map_err(&at)?;
        let value = reader.bytes().map_err(&at)?;
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| pcrs.get_mut(index))
            .ok_or(EvidenceError::PcrIndex {
                index,
                max: PCR_COUNT_MAX as u64 - 1,
            })?;
        if slot.is_some() {
            return Err(EvidenceError::DuplicatePcr { index });
        }
        let value = <[u8; PCR_BYTES]>::try_from(value).map_err(|_| EvidenceError::PcrLength {
            index,
            got: value.len(),
        })?;
        *slot = Some(value);
    }
    let missing = pcrs.iter().take(PCR_COUNT_MIN).position(Option::is_none);
    match missing {
        Some(index) => Err(EvidenceError::MissingPcr { index }),
        None => Ok(pcrs),
    }
}

fn read_cabundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, EvidenceError> {
    let count = reader.array().map_err(in_part(CABUNDLE))?;
    if !(1..=CABUNDLE_MAX).contains(&count) {
        return Err(EvidenceError::CabundleLength {
            max: CABUNDLE_MAX,
            got: count,
        });
    }
    (0..count)
        .map(|_| read_certificate(reader, CABUNDLE))
        .collect()
}

fn read_certificate<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<&'a [u8], EvidenceError> {
    let value = reader.bytes().map_err(in_part(field))?;
    bounded(field, value, 1, CERTIFICATE_BYTES_MAX)?;
    Ok(value)
}

/// Absent is null; an empty byte string is present (real documents have both).
fn read_optional<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    max: usize,
) -> Result<Nullable<'a>, EvidenceError> {
    let value = reader.bytes_or_null().map_err(in_part(field))?;
    if let Some(value) = value {
        bounded(field, value, 0, max)?;
    }
    Ok(Nullable(value))
}

fn bounded(field: &'static str, value: &[u8], min: usize, max: usize) -> Result<(), EvidenceError> {
    let got = value.len();
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(EvidenceError::FieldLength {
        field,
        min,
        max,
        got,
    })
}

fn once<T>(slot: &mut Option<T>, key: &'static str, value: T) -> Result<(), EvidenceError> {
    if slot.is_some() {
        return Err(EvidenceError::DuplicateKey { key });
    }
    *slot = Some(value);
    Ok(())
}

fn present<T>(slot: Option<T>, key: &'static str) -> Result<T, EvidenceError> {
    slot.ok_or(EvidenceError::MissingKey { key })
}

fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}
