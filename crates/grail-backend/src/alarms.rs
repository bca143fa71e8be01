//! `alarms`: what cannot be and is; nothing is signed while one is open.

use anyhow::Context;
use grail_store::Store;

use crate::clock;

/// Alarms shown at most.
const SHOWN_MAX: u32 = 1_000;

/// Arguments of `alarms`.
#[derive(Clone, Debug, clap::Args)]
pub struct AlarmArgs {
    /// The database, `sqlite:PATH`.
    #[arg(long)]
    database: String,
    /// Acknowledge these: a person has looked and signing may go on.
    #[arg(long)]
    acknowledge: Vec<u64>,
}

/// Runs `alarms`.
pub async fn alarms(args: AlarmArgs) -> anyhow::Result<()> {
    let store = Store::open(&args.database)
        .await
        .context("cannot open the database")?;
    for id in args.acknowledge {
        let mut tx = store.begin().await?;
        tx.acknowledge_alarm(id, clock::now())
            .await
            .with_context(|| format!("alarm {id}"))?;
        tx.commit().await?;
    }
    for alarm in store.read().await?.alarms(0, SHOWN_MAX).await? {
        let line = serde_json::json!({
            "id": alarm.id,
            "at": alarm.at,
            "code": alarm.code,
            "details": alarm.details,
            "acknowledged_at": alarm.acknowledged_at,
        });
        println!("{line}");
    }
    store.close().await;
    Ok(())
}
