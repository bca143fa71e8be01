//! The bytes of protocol parameters: sections by number and version, each with one encoding.
//!
//! Layout: for each section its number (u8), its version (u8), the length of its body (u16) and the
//! body; integers are big-endian, sections strictly ascend. A body is a list of eight-byte
//! integers, or a hash. A capability that comes later brings a section of its own; one that is
//! absent is off.

use bitcoin::{Amount, FeeRate, Weight};

use super::{ImagesHash, Params, ParamsError, ParamsValues};

/// Most bytes of encoded parameters: today's take under 200, and a decision must be able to hold
/// what comes.
pub const PARAMS_MAX_BYTES: usize = 16 * 1024;

const DEPOSITS: u8 = 1;
const SETTLEMENTS: u8 = 2;
const PROVER_FEE: u8 = 3;
const IMAGES: u8 = 4;
const LIMITS: u8 = 5;

/// The version of each section that this code writes and reads.
const VERSION: u8 = 1;

/// Why bytes are no protocol parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionsError {
    /// Longer than parameters are.
    #[error("params of {0} bytes, expected at most {PARAMS_MAX_BYTES}")]
    TooLarge(usize),
    /// The bytes end inside a section.
    #[error("params end inside a section")]
    Truncated,
    /// Repeated, or not in ascending order.
    #[error("section {0} is out of order")]
    Order(u8),
    /// A section, or a version of one, that this code does not know: what it would allow or forbid
    /// is not known either.
    #[error("section {id} version {version} is unknown")]
    Unknown {
        /// Its number.
        id: u8,
        /// Its version.
        version: u8,
    },
    /// A section that must be there is not.
    #[error("section {0} is missing")]
    Missing(u8),
    /// Another length than the section has, or a value that its field cannot hold or that is
    /// written by leaving the section out.
    #[error("section {0} is malformed")]
    Malformed(u8),
    /// The values contradict each other.
    #[error(transparent)]
    Values(#[from] ParamsError),
}

/// One section, encoded.
pub struct Section {
    id: u8,
    body: Vec<u8>,
}

impl Section {
    fn of_integers(id: u8, values: &[u64]) -> Self {
        let body = values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect();
        Self { id, body }
    }

    /// Its number.
    pub(super) fn id(&self) -> u8 {
        self.id
    }

    /// Its version.
    #[allow(clippy::unused_self, reason = "the next section may differ in it")]
    pub(super) fn version(&self) -> u8 {
        VERSION
    }

    /// Its canonical bytes.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Params {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for section in self.sections() {
            let length = u16::try_from(section.body.len()).expect("bodies have at most 80 bytes");
            bytes.extend([section.id, section.version()]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(section.body);
        }
        bytes
    }

    /// Reads canonical bytes; there is exactly one encoding of each set of parameters.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SectionsError> {
        if bytes.len() > PARAMS_MAX_BYTES {
            return Err(SectionsError::TooLarge(bytes.len()));
        }
        let mut rest = bytes;
        let mut last = 0;
        let mut found = Found::default();
        while let Some((&id, after_id)) = rest.split_first() {
            let (head, contents) = after_id
                .split_first_chunk::<3>()
                .ok_or(SectionsError::Truncated)?;
            let [version, high, low] = *head;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let (body, after) = contents
                .split_at_checked(length)
                .ok_or(SectionsError::Truncated)?;
            if id <= last {
                return Err(SectionsError::Order(id));
            }
            found.take(id, version, body)?;
            last = id;
            rest = after;
        }
        Ok(Self::new(found.values()?)?)
    }

    /// The sections, ascending.
    pub(super) fn sections(&self) -> Vec<Section> {
        // A field that is forgotten here fails `every_value_changes_the_hash`.
        let it = &self.0;
        let deposits = [
            u64::from(it.reclaim_delay_min),
            u64::from(it.reclaim_delay_max),
            u64::from(it.sweep_margin),
            u64::from(it.deposit_confirmations),
            it.deposit_min.to_sat(),
            it.deposit_max.to_sat(),
        ];
        let settlements = [
            u64::from(it.settlement_confirmations),
            it.carrier.to_sat(),
            it.nft_carrier.to_sat(),
            it.fee_rate_min.to_sat_per_kwu(),
            it.fee_rate_max.to_sat_per_kwu(),
            u64::from(it.roster_inputs_max),
            it.settlement_weight_max.to_wu(),
            u64::from(it.settlements_unconfirmed_max),
        ];
        let mut sections = vec![
            Section::of_integers(DEPOSITS, &deposits),
            Section::of_integers(SETTLEMENTS, &settlements),
        ];
        if it.prover_fee_max > Amount::ZERO {
            let fee = it.prover_fee_max.to_sat();
            sections.push(Section::of_integers(PROVER_FEE, &[fee]));
        }
        let body = it.images.0.to_vec();
        sections.push(Section { id: IMAGES, body });
        let limits = [it.outflow_cap, it.outflow_rate, it.supply_max].map(Amount::to_sat);
        let limits = [&limits[..], &[u64::from(it.notice)]].concat();
        sections.push(Section::of_integers(LIMITS, &limits));
        sections
    }
}

/// The sections found so far.
#[derive(Default)]
struct Found {
    deposits: Option<[u64; 6]>,
    settlements: Option<[u64; 8]>,
    prover_fee: Option<[u64; 1]>,
    images: Option<ImagesHash>,
    limits: Option<[u64; 4]>,
}

impl Found {
    fn take(&mut self, id: u8, version: u8, body: &[u8]) -> Result<(), SectionsError> {
        match (id, version) {
            (DEPOSITS, VERSION) => self.deposits = Some(integers(id, body)?),
            (SETTLEMENTS, VERSION) => self.settlements = Some(integers(id, body)?),
            (PROVER_FEE, VERSION) => self.prover_fee = Some(integers(id, body)?),
            (LIMITS, VERSION) => self.limits = Some(integers(id, body)?),
            (IMAGES, VERSION) => {
                let hash = body.try_into().map_err(|_| SectionsError::Malformed(id))?;
                self.images = Some(ImagesHash(hash));
            }
            _ => return Err(SectionsError::Unknown { id, version }),
        }
        Ok(())
    }

    fn values(self) -> Result<ParamsValues, SectionsError> {
        let deposits = self.deposits.ok_or(SectionsError::Missing(DEPOSITS))?;
        let settlements = self.settlements;
        let settlements = settlements.ok_or(SectionsError::Missing(SETTLEMENTS))?;
        let limits = self.limits.ok_or(SectionsError::Missing(LIMITS))?;
        let [cap, rate, supply_max, notice] = limits;
        let prover_fee_max = match self.prover_fee {
            // No fee has one encoding: without the section.
            Some([0]) => return Err(SectionsError::Malformed(PROVER_FEE)),
            Some([fee]) => fee,
            None => 0,
        };
        let [delay_min, delay_max, margin, confirmations, min, max] = deposits;
        let [
            finality,
            carrier,
            nft_carrier,
            rate_min,
            rate_max,
            inputs,
            weight,
            unconfirmed,
        ] = settlements;
        Ok(ParamsValues {
            reclaim_delay_min: narrow(DEPOSITS, delay_min)?,
            reclaim_delay_max: narrow(DEPOSITS, delay_max)?,
            sweep_margin: narrow(DEPOSITS, margin)?,
            deposit_confirmations: narrow(DEPOSITS, confirmations)?,
            deposit_min: Amount::from_sat(min),
            deposit_max: Amount::from_sat(max),
            settlement_confirmations: narrow(SETTLEMENTS, finality)?,
            carrier: Amount::from_sat(carrier),
            nft_carrier: Amount::from_sat(nft_carrier),
            fee_rate_min: FeeRate::from_sat_per_kwu(rate_min),
            fee_rate_max: FeeRate::from_sat_per_kwu(rate_max),
            roster_inputs_max: narrow(SETTLEMENTS, inputs)?,
            settlement_weight_max: Weight::from_wu(weight),
            settlements_unconfirmed_max: narrow(SETTLEMENTS, unconfirmed)?,
            prover_fee_max: Amount::from_sat(prover_fee_max),
            images: self.images.ok_or(SectionsError::Missing(IMAGES))?,
            outflow_cap: Amount::from_sat(cap),
            outflow_rate: Amount::from_sat(rate),
            supply_max: Amount::from_sat(supply_max),
            notice: narrow(LIMITS, notice)?,
        })
    }
}

fn integers<const N: usize>(id: u8, body: &[u8]) -> Result<[u64; N], SectionsError> {
    let (chunks, rest) = body.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(SectionsError::Malformed(id));
    }
    let chunks: &[[u8; 8]; N] = chunks
        .try_into()
        .map_err(|_| SectionsError::Malformed(id))?;
    Ok(chunks.map(u64::from_be_bytes))
}

fn narrow<T: TryFrom<u64>>(id: u8, value: u64) -> Result<T, SectionsError> {
    T::try_from(value).map_err(|_| SectionsError::Malformed(id))
}
