//! `alarms`: shows what a person must see, from a database alone. To take note that one has looked,
//! ask the backend that runs: `admin acknowledge`.

use anyhow::Context;
use grail_store::Store;

/// Rows read at a time.
const PAGE: u32 = 500;

/// Arguments of `alarms`.
#[derive(Clone, Debug, clap::Args)]
pub struct AlarmArgs {
    /// The database: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    #[arg(long)]
    database: String,
}

/// Runs `alarms`.
pub async fn alarms(args: AlarmArgs) -> anyhow::Result<()> {
    let store = Store::open(&args.database)
        .await
        .context("cannot open the database")?;
    let mut reader = store.read().await?;
    let mut after = 0;
    loop {
        let page = reader.alarms(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for alarm in page {
            let line = serde_json::json!({
                "id": alarm.id,
                "code": alarm.code.name(),
                "severity": alarm.code.severity().name(),
                "subject": alarm.subject,
                "details": alarm.details,
                "seen": alarm.seen,
                "at": alarm.at,
                "last_at": alarm.last_at,
                "acknowledged_at": alarm.acknowledged_at,
                "what_to_do": format!("docs/operators/alarms.md#{}", alarm.code.name()),
            });
            println!("{line}");
        }
    }
    drop(reader);
    store.close().await;
    Ok(())
}
