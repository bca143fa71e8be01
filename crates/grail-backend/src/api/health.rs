//! `/healthz`: how each part is, in words that show nothing of the inside. `/livez` and `/readyz`:
//! whether the process and its database answer, and nothing else: a balancer that asks must not
//! take away the backends that users read their way out from.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use grail_api::{Component, Health, HealthStatus};
use grail_store::{BlockRef, OpenAlarms, StoreError, VaultTotals};
use grail_types::Roster;

use super::{
    Api,
    answer::{Answer, Failure},
    view::former_requests,
};
use crate::{backend::Backend, rosters::Rosters};

/// Blocks behind the node that are nothing to worry about.
const LAG_BLOCKS_MAX: u32 = 2;

/// Longest wait for the database of a backend that is ready.
const READY_PATIENCE: Duration = Duration::from_secs(3);

/// The process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The database answers, and the process is not about to end.
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Answer<&'static str> {
    if api.backend.is_stopping() {
        return Err(Failure::unavailable("the process is about to end"));
    }
    let reading = async {
        Ok(api
            .backend
            .store
            .read()
            .await?
            .last_block()
            .await
            .map(|_| ())?)
    };
    let read = tokio::time::timeout(READY_PATIENCE, api.is_readable.get(reading)).await;
    read.unwrap_or_else(|_| Err(Failure::unavailable("the database does not answer")))?;
    Ok("ok\n")
}

pub(super) async fn healthz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Health>) {
    let looking = async { Health::of(components(&api).await) };
    let health = api.health.get(looking).await;
    let status = match health.status {
        HealthStatus::Ok | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}

async fn components(api: &Api) -> Vec<Component> {
    let mut components: Vec<_> = api
        .backend
        .health
        .roles()
        .into_iter()
        .map(|(role, health)| {
            let status = if health.is_down {
                HealthStatus::Failing
            } else {
                HealthStatus::Ok
            };
            component(
                &format!("role-{role}"),
                status,
                format!("{} failures since the start", health.failure_count),
            )
        })
        .collect();
    let books = Books::read(&api.backend).await;
    components.push(match &books {
        Ok(_) => component("database", HealthStatus::Ok, "it can be read"),
        Err(error) => {
            let code = error.downcast_ref::<StoreError>();
            let code = code.map_or("unreadable", StoreError::code);
            component("database", HealthStatus::Failing, code)
        }
    });
    let view = api.node.view(&api.backend).await;
    components.push(match &view {
        Ok(view) => component(
            "node",
            HealthStatus::Ok,
            format!("its tip is at {}", view.tip.height),
        ),
        Err(code) => component("node", HealthStatus::Failing, *code),
    });
    if let Ok(books) = books {
        components.push(operators(&api.backend, books.rosters.newest().roster()));
        components.push(former(&books));
        if let Ok(view) = view {
            components.push(lag(view.tip.height, books.block));
        }
        components.push(alarms(books.alarms));
        components.push(reserves(&books.totals));
    }
    components
}

fn component(name: &str, status: HealthStatus, detail: impl Into<String>) -> Component {
    Component {
        name: name.to_owned(),
        status,
        detail: detail.into(),
    }
}

/// What rows say.
struct Books {
    block: Option<BlockRef>,
    alarms: OpenAlarms,
    totals: VaultTotals,
    rosters: Arc<Rosters>,
    former_requests: u64,
}

impl Books {
    async fn read(backend: &Backend) -> anyhow::Result<Self> {
        let mut reader = backend.store.read().await?;
        let rosters = backend.rosters(&mut reader).await?;
        Ok(Self {
            block: reader.last_block().await?,
            alarms: reader.open_alarms().await?,
            totals: reader.vault_totals().await?,
            former_requests: former_requests(&mut reader, rosters.newest().epoch()).await?,
            rosters,
        })
    }
}

/// Without a quorum nothing is signed; with less than all, the next one that leaves may be the last
/// that can.
fn operators(backend: &Backend, roster: &Roster) -> Component {
    let seen = backend
        .operators
        .known()
        .iter()
        .filter(|record| roster.signers().contains(&record.public_key))
        .count();
    let all = roster.signers().len();
    let threshold = roster.threshold().0;
    let status = if seen < usize::from(threshold) {
        HealthStatus::Failing
    } else if seen < all {
        HealthStatus::Degraded
    } else {
        HealthStatus::Ok
    };
    let detail =
        format!("{seen} of {all} have shown evidence since the start, {threshold} must agree");
    component("operators", status, detail)
}

/// Requests whose deposits only a former roster can spend: they wait for their users' reclaim.
fn former(books: &Books) -> Component {
    let newest = books.rosters.newest().epoch();
    let waiting = books.former_requests;
    let status = if waiting > 0 {
        HealthStatus::Degraded
    } else {
        HealthStatus::Ok
    };
    let detail = format!("epoch {newest}, {waiting} open requests of former epochs");
    component("roster", status, detail)
}

fn lag(tip_height: u32, taken: Option<BlockRef>) -> Component {
    let Some(taken) = taken else {
        return component("scan", HealthStatus::Degraded, "no block was read yet");
    };
    let behind = tip_height.saturating_sub(taken.height);
    let status = if behind > LAG_BLOCKS_MAX {
        HealthStatus::Degraded
    } else {
        HealthStatus::Ok
    };
    component("scan", status, format!("{behind} blocks behind the node"))
}

fn alarms(open: OpenAlarms) -> Component {
    let OpenAlarms { stop, look } = open;
    let status = if stop > 0 {
        HealthStatus::Failing
    } else if look > 0 {
        HealthStatus::Degraded
    } else {
        HealthStatus::Ok
    };
    let detail = format!("{stop} open that stop building and signing, {look} to look at");
    component("alarms", status, detail)
}

/// The one number that must never be wrong.
fn reserves(totals: &VaultTotals) -> Component {
    let status = if totals.vault < totals.supply {
        HealthStatus::Failing
    } else {
        HealthStatus::Ok
    };
    let detail = format!(
        "{} sat in the vault, {} sat of zkBTC",
        totals.vault.to_sat(),
        totals.supply.to_sat()
    );
    component("reserves", status, detail)
}
