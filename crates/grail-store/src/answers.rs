//! What operators answered. A signature counts whenever it comes; a "no" counts for the attempt
//! that it was given to, and the first of an attempt stays.

use grail_flow::{SettlementId, SettlementStage, named_enum};
use grail_types::{Epoch, SignerIndex};

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, printable},
    db::DbRow,
};

/// Longest details of a refusal; operators are not trusted to be brief.
pub const DETAILS_BYTES_MAX: usize = 4 << 10;
/// Longest code.
const CODE_BYTES_MAX: usize = 64;
/// Most bytes of one operator's signatures: 64 for each of some 200 inputs, and framing.
pub const SIGNATURES_BYTES_MAX: usize = 64 << 10;

/// Whether a thing told to the store is new to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It is.
    New,
    /// It was there, and stays as it was.
    Known,
}

/// An operator's answer about a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The settlement.
    pub settlement: SettlementId,
    /// Who: a position in the roster of `epoch`.
    pub signer: SignerIndex,
    /// Whose roster.
    pub epoch: Epoch,
    /// The attempt answered.
    pub attempt: u32,
    /// What.
    pub verdict: Verdict,
    /// When it came, unix seconds.
    pub received_at: u64,
    /// Whether it came when nobody was waiting: the settlement was not in state `asked`. Set by
    /// the store.
    pub late: bool,
}

/// What an operator answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid signatures, in the form that the caller keeps them.
    Signed {
        /// The signatures.
        signatures: Vec<u8>,
    },
    /// Its policy's no.
    Refused {
        /// The refusal's code.
        code: String,
        /// The refusal's details.
        details: String,
    },
    /// An answer that is wrong: bad signatures, or nonsense.
    Faulty {
        /// What kind of wrong.
        code: String,
        /// How.
        details: String,
    },
}

named_enum! {
    /// Which [`Verdict`], without what comes with it.
    pub enum VerdictKind {
        /// [`Verdict::Signed`].
        Signed = "signed",
        /// [`Verdict::Refused`].
        Refused = "refused",
        /// [`Verdict::Faulty`].
        Faulty = "faulty",
    }
}

impl Verdict {
    /// Which it is.
    pub const fn kind(&self) -> VerdictKind {
        match self {
            Self::Signed { .. } => VerdictKind::Signed,
            Self::Refused { .. } => VerdictKind::Refused,
            Self::Faulty { .. } => VerdictKind::Faulty,
        }
    }

    /// Stable name.
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }
}

impl Reader {
    /// Each signer's answer about a settlement, by signer: its signatures if it ever gave some,
    /// otherwise the newest "no". Once it is settled for long, signatures are kept no more, and who
    /// gave some is not among them.
    pub async fn answers(&mut self, settlement: SettlementId) -> Result<Vec<Answer>, StoreError> {
        let rows = sqlx::query(
            "SELECT settlement, signer_index, attempt, epoch, verdict, code, details, signatures, late, received_at \
             FROM answers WHERE settlement = $1 AND (verdict <> $2 OR signatures IS NOT NULL) \
             ORDER BY signer_index, verdict = $2 DESC, attempt DESC",
        )
        .bind(after(settlement.0))
        .bind(VerdictKind::Signed.name())
        .fetch_all(self.connection())
        .await?;
        let mut answers = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        answers.dedup_by_key(|answer| answer.signer);
        Ok(answers)
    }

    /// Whether a signer's verified signatures for a settlement are on record: no other answer of
    /// its changes anything.
    pub async fn has_signed(
        &mut self,
        settlement: SettlementId,
        signer: SignerIndex,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM answers WHERE settlement = $1 AND signer_index = $2 AND verdict = $3 LIMIT 1",
        )
        .bind(after(settlement.0))
        .bind(i64::from(signer.0))
        .bind(VerdictKind::Signed.name())
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }
}

/// An answer to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewAnswer<'a> {
    /// The settlement.
    pub settlement: SettlementId,
    /// Who: a position in the roster of `epoch`.
    pub signer: SignerIndex,
    /// Whose roster.
    pub epoch: Epoch,
    /// The attempt answered.
    pub attempt: u32,
    /// What.
    pub verdict: &'a Verdict,
}

impl StoreTx {
    /// Records an answer, also a late one. Signatures replace a "no" of the same attempt and are
    /// replaced by nothing; a second "no" to an attempt, or one after signatures, changes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a settlement; [`StoreError::OutOfRange`] when a part
    /// is too long.
    pub async fn record_answer(
        &mut self,
        answer: &NewAnswer<'_>,
        now: u64,
    ) -> Result<Recorded, StoreError> {
        let NewAnswer {
            settlement,
            signer,
            epoch,
            attempt,
            verdict,
        } = *answer;
        let (code, details, signatures) = match verdict {
            Verdict::Signed { signatures } => (None, None, Some(signatures.as_slice())),
            Verdict::Refused { code, details } | Verdict::Faulty { code, details } => {
                (Some(code), Some(details), None)
            }
        };
        at_most(
            "length of the code",
            code.map_or(0, String::len),
            CODE_BYTES_MAX,
        )?;
        at_most(
            "length of the details",
            details.map_or(0, String::len),
            DETAILS_BYTES_MAX,
        )?;
        at_most(
            "length of the signatures",
            signatures.map_or(0, <[u8]>::len),
            SIGNATURES_BYTES_MAX,
        )?;
        let asked = self
            .settlement(settlement)
            .await?
            .ok_or(StoreError::NotFound { what: "settlement" })?;
        let is_late = asked.state.stage() != SettlementStage::Asked;
        let added = sqlx::query(
            "INSERT INTO answers (settlement, signer_index, attempt, epoch, verdict, code, details, signatures, late, \
             received_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE NOT EXISTS (SELECT 1 FROM answers \
             WHERE settlement = $1 AND signer_index = $2 AND verdict = $11) \
             ON CONFLICT (settlement, signer_index, attempt) DO UPDATE SET verdict = excluded.verdict, \
             code = excluded.code, details = excluded.details, signatures = excluded.signatures, \
             late = excluded.late, received_at = excluded.received_at WHERE excluded.verdict = $11",
        )
        .bind(after(settlement.0))
        .bind(i64::from(signer.0))
        .bind(i64::from(attempt))
        .bind(integer("epoch", epoch.0)?)
        .bind(verdict.name())
        .bind(code.map(|code| printable(code, CODE_BYTES_MAX)))
        .bind(details.map(|details| printable(details, DETAILS_BYTES_MAX)))
        .bind(signatures)
        .bind(i64::from(is_late))
        .bind(integer("now", now)?)
        .bind(VerdictKind::Signed.name())
        .execute(self.connection())
        .await?
        .rows_affected();
        Ok(if added == 1 {
            Recorded::New
        } else {
            Recorded::Known
        })
    }
}

fn read(row: &DbRow) -> Result<Answer, StoreError> {
    let verdict = match row.parsed("verdict")? {
        VerdictKind::Signed => Verdict::Signed {
            signatures: row.bytes("signatures")?,
        },
        VerdictKind::Refused => Verdict::Refused {
            code: row.text("code")?,
            details: row.text("details")?,
        },
        VerdictKind::Faulty => Verdict::Faulty {
            code: row.text("code")?,
            details: row.text("details")?,
        },
    };
    Ok(Answer {
        settlement: row.settlement_id("settlement")?,
        signer: SignerIndex(
            row.u64("signer_index")?
                .try_into()
                .map_err(|error| StoreError::corrupt("signer_index", error))?,
        ),
        epoch: Epoch(row.u64("epoch")?),
        attempt: row
            .u64("attempt")?
            .try_into()
            .map_err(|error| StoreError::corrupt("attempt", error))?,
        verdict,
        received_at: row.u64("received_at")?,
        late: row.u64("late")? != 0,
    })
}
