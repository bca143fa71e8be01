//! What a platform's certificate says of the platform: "Intel SGX PCK Certificate and CRL Profile
//! Specification", section 1.3.5.

use x509_cert::der::{
    Decode as _, Reader as _, SliceReader, Tag, Tagged as _,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef},
};

use super::{chain::Named, error::TdxError};

const EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
const TCB: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.2");
const PCE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.3");
const FMSPC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.4");
/// Under [`TCB`]: 1 to 16 the components, 17 the provisioning enclave.
const COMPONENTS: u32 = 16;
const PCE_SVN: u32 = 17;
/// More than any certificate has.
const FIELDS_MAX: usize = 32;

/// A platform: its kind, and its level.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pck {
    pub(crate) fmspc: [u8; 6],
    pub(crate) pce_id: [u8; 2],
    pub(crate) pce_svn: u16,
    pub(crate) components: [u8; 16],
}

type Fields<'a> = Vec<(ObjectIdentifier, AnyRef<'a>)>;

impl Pck {
    pub(crate) fn read(certificate: &Named<'_>) -> Result<Self, TdxError> {
        let value = certificate
            .certificate
            .extension(EXTENSION)
            .ok_or(malformed("absent"))?;
        let outer = AnyRef::from_der(value).map_err(|_| malformed("not der"))?;
        let all = fields(outer)?;
        let levels = fields(find(&all, TCB)?)?;
        let mut components = [0; 16];
        for (component, number) in components.iter_mut().zip(1..=COMPONENTS) {
            *component = number_of(&levels, number)?;
        }
        Ok(Self {
            fmspc: octets(&all, FMSPC)?,
            pce_id: octets(&all, PCE_ID)?,
            pce_svn: number_of(&levels, PCE_SVN)?,
            components,
        })
    }
}

/// A SEQUENCE of pairs of a name and a value.
fn fields(sequence: AnyRef<'_>) -> Result<Fields<'_>, TdxError> {
    let fault = |_| malformed("not a sequence of fields");
    if sequence.tag() != Tag::Sequence {
        return Err(malformed("not a sequence"));
    }
    let mut reader = SliceReader::new(sequence.value()).map_err(fault)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == FIELDS_MAX {
            return Err(malformed("too many fields"));
        }
        let pair = AnyRef::decode(&mut reader).map_err(fault)?;
        let mut inner = SliceReader::new(pair.value()).map_err(fault)?;
        let name = ObjectIdentifier::decode(&mut inner).map_err(fault)?;
        let value = AnyRef::decode(&mut inner).map_err(fault)?;
        inner.finish().map_err(fault)?;
        if found.iter().any(|(other, _)| *other == name) {
            return Err(malformed("a field occurs twice"));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn find<'a>(fields: &Fields<'a>, oid: ObjectIdentifier) -> Result<AnyRef<'a>, TdxError> {
    let found = fields.iter().find(|(name, _)| *name == oid);
    found
        .map(|(_, value)| *value)
        .ok_or(malformed("a field is absent"))
}

fn number_of<T>(levels: &Fields<'_>, number: u32) -> Result<T, TdxError>
where
    T: for<'a> x509_cert::der::DecodeValue<'a, Error = x509_cert::der::Error>
        + x509_cert::der::FixedTag
        + for<'a> x509_cert::der::Choice<'a>,
{
    let oid = TCB.push_arc(number).map_err(|_| malformed("name"))?;
    find(levels, oid)?
        .decode_as::<T>()
        .map_err(|_| malformed("level"))
}

fn octets<const N: usize>(fields: &Fields<'_>, oid: ObjectIdentifier) -> Result<[u8; N], TdxError> {
    let value = find(fields, oid)?;
    let value = value
        .decode_as::<&OctetStringRef>()
        .map_err(|_| malformed("bytes"))?;
    value
        .as_bytes()
        .try_into()
        .map_err(|_| malformed("length of bytes"))
}

const fn malformed(what: &'static str) -> TdxError {
    TdxError::PckExtension { what }
}
