//! What the app's charms say: the main cell's state and the cells'.

use std::fmt;

use grail_app_facts::cbor::{Fault, Reader, Writer};

use crate::wire::Wire;

/// First item of a main cell's charm.
const MAIN_KIND: u8 = 0;
/// First item of a cell's charm: so that its bytes are never read as a state.
const CELL_KIND: u8 = 1;
/// Longest body of a main cell or a cell: it stands on chain with every clearing.
pub const BODY_BYTES_MAX: usize = 2_048;

/// The main cell's charm: `[0, home, birth, serial, shares, body]`, where body is the bytes of
/// `[config, state]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainState<C, S> {
    /// The P2TR script that the app's cells lie at.
    pub home: [u8; 34],
    /// What it was at birth. Never changes.
    pub birth: [u8; 34],
    /// Clearings since birth.
    pub serial: u64,
    /// Shares in existence.
    pub shares: u64,
    /// Fixed at birth.
    pub config: C,
    /// What changes.
    pub state: S,
}

/// A cell's charm: `[1, body]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellState<T> {
    /// What it says.
    pub body: T,
}

/// Why a charm is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The bytes are not the encoding of one.
    Encoding(Fault),
    /// Of another kind.
    Kind,
    /// Home or birth is not P2TR.
    Home,
    /// The body is longer than [`BODY_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(fault) => fault.fmt(f),
            Self::Kind => f.write_str("a cell of another kind"),
            Self::Home => f.write_str("expected a P2TR script as home"),
            Self::TooLong => write!(f, "a body above {BODY_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for StateError {}

impl From<Fault> for StateError {
    fn from(fault: Fault) -> Self {
        Self::Encoding(fault)
    }
}

impl<C: Wire, S: Wire> MainState<C, S> {
    /// The charm, as CBOR.
    pub fn encode(&self) -> Result<Vec<u8>, StateError> {
        let mut body = Writer::default();
        body.array(2);
        self.config.write(&mut body);
        self.state.write(&mut body);
        let mut writer = Writer::default();
        writer.array(6);
        writer.uint(MAIN_KIND);
        writer.bytes(&self.home);
        writer.bytes(&self.birth);
        writer.uint(self.serial);
        writer.uint(self.shares);
        writer.bytes(&within_limit(body.finish())?);
        Ok(writer.finish())
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    pub fn decode(charm: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(charm);
        reader.array()?;
        if reader.uint::<u64>()? != u64::from(MAIN_KIND) {
            return Err(StateError::Kind);
        }
        let mut reader = Reader::new(charm);
        reader.array_of(6)?;
        reader.uint::<u8>()?;
        let (home, birth) = (reader.fixed()?, reader.fixed()?);
        for script in [home, birth] {
            if !is_p2tr(&script) {
                return Err(StateError::Home);
            }
        }
        let (serial, shares) = (reader.uint()?, reader.uint()?);
        let mut body = Reader::new(bounded(reader.bytes()?)?);
        reader.end()?;
        body.array_of(2)?;
        let (config, state) = (C::read(&mut body)?, S::read(&mut body)?);
        body.end()?;
        Ok(Self {
            home,
            birth,
            serial,
            shares,
            config,
            state,
        })
    }
}

impl<T: Wire> CellState<T> {
    /// The charm, as CBOR.
    pub fn encode(&self) -> Result<Vec<u8>, StateError> {
        let mut writer = Writer::default();
        writer.array(2);
        writer.uint(CELL_KIND);
        writer.bytes(&within_limit(self.body.to_bytes())?);
        Ok(writer.finish())
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    pub fn decode(charm: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(charm);
        reader.array()?;
        if reader.uint::<u64>()? != u64::from(CELL_KIND) {
            return Err(StateError::Kind);
        }
        let mut reader = Reader::new(charm);
        reader.array_of(2)?;
        reader.uint::<u8>()?;
        let body = bounded(reader.bytes()?)?;
        reader.end()?;
        Ok(Self {
            body: T::from_bytes(body)?,
        })
    }
}

/// Whether the script is P2TR: what homes are.
pub fn is_p2tr(script: &[u8; 34]) -> bool {
    script.starts_with(&[0x51, 0x20])
}

fn within_limit(body: Vec<u8>) -> Result<Vec<u8>, StateError> {
    bounded(&body)?;
    Ok(body)
}

fn bounded(body: &[u8]) -> Result<&[u8], StateError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(StateError::TooLong);
    }
    Ok(body)
}
