//! Requests and where they stand.

use bitcoin::{Script, ScriptBuf};
use grail_flow::{RequestStage, RequestState};
use grail_types::{Epoch, Kind, RequestId, Roster, Terms};

use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, listed, page, sat},
    db::{DbRow, sql},
    form::write_json,
};

/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A request as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Its place in the order of creation, from 1: where a list goes on.
    pub number: u64,
    /// What the user asked for.
    pub terms: Terms,
    /// The roster that its deposit address was made with.
    pub roster: Roster,
    /// Its deposit address.
    pub deposit_script: ScriptBuf,
    /// Where it stands.
    pub state: RequestState,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
    /// When it was made, unix seconds.
    pub created_at: u64,
    /// When it last changed, unix seconds.
    pub updated_at: u64,
}

/// A request to create.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest<'a> {
    /// What the user asks for; gives the request its name.
    pub terms: &'a Terms,
    /// The roster that its deposit address is made with.
    pub roster: &'a Roster,
    /// Its deposit address.
    pub deposit_script: &'a Script,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
    /// Lets the user ask again without getting a second request.
    pub idempotency: Option<Idempotency<'a>>,
    /// The time, unix seconds.
    pub now: u64,
}

/// A client's key for one request, and a hash of its body.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency<'a> {
    /// The key, at most [`IDEMPOTENCY_KEY_BYTES_MAX`].
    pub key: &'a str,
    /// Hash of the body that came with it.
    pub body_hash: [u8; 32],
}

/// Whether a request is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is.
    New(Request),
    /// The key came before, with the same body: this is its request.
    Existing(Request),
}

impl Created {
    /// The request.
    pub fn into_request(self) -> Request {
        match self {
            Self::New(request) | Self::Existing(request) => request,
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, terms, roster, deposit_script, state, deadline_height, created_at, updated_at, \
             body_hash FROM requests ",
            $rest
        )
    };
}
pub(crate) use select;

impl Reader {
    /// A request by name.
    pub async fn request(&mut self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(select!("WHERE id = $1"))
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The request whose deposit address has this script.
    pub async fn request_by_script(
        &mut self,
        script: &Script,
    ) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(select!("WHERE deposit_script = $1"))
            .bind(script.to_hex_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The request made with an idempotency key.
    ///
    /// # Errors
    /// [`Conflict::IdempotencyKeyReused`] when the key came with another body.
    pub async fn request_by_key(
        &mut self,
        idempotency: Idempotency<'_>,
    ) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(select!("WHERE idempotency_key = $1"))
            .bind(idempotency.key)
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.text("body_hash")? != hex::encode(idempotency.body_hash) {
            return Err(Conflict::IdempotencyKeyReused.into());
        }
        read(&row).map(Some)
    }

    /// Requests in order of creation, after number `after_number` (0: from the start).
    pub async fn requests(
        &mut self,
        after_number: u64,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(select!("WHERE number > $1 ORDER BY number LIMIT $2"))
            .bind(after(after_number))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Requests in a state, in order of creation.
    pub async fn requests_in_state(
        &mut self,
        stage: RequestStage,
        after_number: u64,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE state_name = $1 AND number > $2 ORDER BY number LIMIT $3"
        ))
        .bind(stage.name())
        .bind(after(after_number))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Requests without a mined deposit whose deadline is `tip_height` or lower:
    /// [`RequestState::apply`] with `DeadlinePassed` is due. The earliest deadlines of a state
    /// first. Those with a mined deposit are not listed.
    pub async fn requests_past_deadline(
        &mut self,
        tip_height: u32,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let mut due = Vec::new();
        for stage in RequestStage::those(RequestStage::is_moved_by_deadline) {
            let rows = sqlx::query(select!(
                "WHERE state_name = $3 AND deadline_height <= $1 AND ($3 = $4 OR \
                 NOT EXISTS (SELECT 1 FROM deposits WHERE deposits.request = requests.id \
                 AND deposits.height IS NOT NULL)) ORDER BY deadline_height LIMIT $2"
            ))
            .bind(i64::from(tip_height))
            .bind(page(limit))
            .bind(stage.name())
            .bind(RequestStage::AwaitingDeposit.name())
            .fetch_all(self.connection())
            .await?;
            for row in &rows {
                due.push(read(row)?);
            }
        }
        Ok(due)
    }

    /// How many requests still wait for what only their roster can do, by its epoch.
    pub async fn open_request_epochs(&mut self) -> Result<Vec<(Epoch, u64)>, StoreError> {
        let open = RequestStage::those(RequestStage::needs_roster).map(RequestStage::name);
        let rows = sqlx::query(sql(format!(
            "SELECT epoch, CAST(SUM(total) AS BIGINT) AS total FROM request_totals \
             WHERE state_name IN ({}) AND total > 0 GROUP BY epoch ORDER BY epoch",
            listed(open)
        )))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((Epoch(row.u64("epoch")?), row.u64("total")?)))
            .collect()
    }

    /// How many requests are in each state, by name.
    pub async fn request_counts(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT state_name, CAST(SUM(total) AS BIGINT) AS total FROM request_totals WHERE total > 0 \
             GROUP BY state_name ORDER BY state_name",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.text("state_name")?, row.u64("total")?)))
            .collect()
    }
}

impl StoreTx {
    /// Creates a request, or finds the one that its idempotency key made before.
    ///
    /// # Errors
    /// [`Conflict::IdempotencyKeyReused`], [`Conflict::RequestExists`],
    /// [`Conflict::DepositScriptTaken`]; [`StoreError::OutOfRange`] on terms that no database
    /// holds.
    pub async fn create_request(&mut self, new: &NewRequest<'_>) -> Result<Created, StoreError> {
        let Terms {
            fee_cap,
            epoch,
            kind,
            ..
        } = new.terms;
        sat("fee cap", *fee_cap)?;
        let in_epoch = integer("epoch", epoch.0)?;
        if new.roster.epoch() != *epoch {
            return Err(Conflict::EpochDiffers {
                terms: *epoch,
                roster: new.roster.epoch(),
            }
            .into());
        }
        if let Some(idempotency) = new.idempotency {
            at_most(
                "length of the idempotency key",
                idempotency.key.len(),
                IDEMPOTENCY_KEY_BYTES_MAX,
            )?;
            if let Some(existing) = self.request_by_key(idempotency).await? {
                return Ok(Created::Existing(existing));
            }
        }
        let id = new.terms.id();
        if self.request(&id).await?.is_some() {
            return Err(Conflict::RequestExists.into());
        }
        if self.request_by_script(new.deposit_script).await?.is_some() {
            return Err(Conflict::DepositScriptTaken.into());
        }
        let state = RequestState::start();
        let terms = write_json("requests.terms", new.terms)?;
        let roster = write_json("requests.roster", new.roster)?;
        let now = integer("now", new.now)?;
        let number = self.next_number("request").await?;
        sqlx::query(
            "INSERT INTO requests (id, number, kind, terms, roster, deposit_script, state_name, state, \
             deadline_height, idempotency_key, body_hash, created_at, updated_at, epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)",
        )
        .bind(id.to_string())
        .bind(number)
        .bind(kind_name(*kind))
        .bind(terms)
        .bind(roster)
        .bind(new.deposit_script.to_hex_string())
        .bind(state.name())
        .bind(write_json("requests.state", &state)?)
        .bind(i64::from(new.deadline_height))
        .bind(new.idempotency.map(|idempotency| idempotency.key.to_owned()))
        .bind(
            new.idempotency
                .map(|idempotency| hex::encode(idempotency.body_hash)),
        )
        .bind(now)
        .bind(in_epoch)
        .execute(self.connection())
        .await?;
        let request = self
            .request(&id)
            .await?
            .ok_or(StoreError::NotFound { what: "request" })?;
        Ok(Created::New(request))
    }

    /// Moves a request from the state that the caller read to another.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is in another state by now, [`StoreError::NotFound`].
    pub async fn set_request_state(
        &mut self,
        id: &RequestId,
        from: &RequestState,
        to: &RequestState,
        now: u64,
    ) -> Result<(), StoreError> {
        // Compared as values: the same state may be stored in the form of the version before.
        let request = self
            .request(id)
            .await?
            .ok_or(StoreError::NotFound { what: "request" })?;
        if request.state != *from {
            return Err(StoreError::Stale { what: "request" });
        }
        sqlx::query(
            "UPDATE requests SET state_name = $2, state = $3, updated_at = $4 WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(to.name())
        .bind(write_json("requests.state", to)?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// Name of a kind, as in JSON.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::PegIn => "peg-in",
        Kind::PegOut => "peg-out",
        Kind::SponsorAnnounce => "sponsor-announce",
        Kind::SponsorCancel => "sponsor-cancel",
        Kind::SponsorExecute => "sponsor-execute",
        Kind::SponsorMerge => "sponsor-merge",
    }
}

/// The kind in a row.
pub(crate) fn kind(row: &DbRow) -> Result<Kind, StoreError> {
    let name = row.text("kind")?;
    Kind::ALL
        .into_iter()
        .find(|kind| kind_name(*kind) == name)
        .ok_or_else(|| StoreError::corrupt("requests.kind", name))
}

pub(crate) fn script(row: &DbRow) -> Result<ScriptBuf, StoreError> {
    ScriptBuf::from_hex(&row.text("deposit_script")?)
        .map_err(|error| StoreError::corrupt("deposit_script", error))
}

pub(crate) fn read(row: &DbRow) -> Result<Request, StoreError> {
    let terms: Terms = row.versioned("terms")?;
    let id: RequestId = row.parsed("id")?;
    // The name is a hash of the terms: a changed row would serve another request under the same
    // name.
    if terms.id() != id {
        return Err(StoreError::corrupt(
            "requests.terms",
            "hash to another name",
        ));
    }
    Ok(Request {
        id,
        number: row.u64("number")?,
        terms,
        roster: row.versioned("roster")?,
        deposit_script: script(row)?,
        state: row.versioned("state")?,
        deadline_height: row.u32("deadline_height")?,
        created_at: row.u64("created_at")?,
        updated_at: row.u64("updated_at")?,
    })
}
