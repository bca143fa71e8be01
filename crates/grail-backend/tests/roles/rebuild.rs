//! A lost database: the chain and receipts bring the bridge back to service.

use std::path::Path;

use grail_backend::{
    backend::{Backend, Config, Parts},
    commands::rebuild::{Rebuilt, from_chain},
    node::Node,
    roles::build::Built,
};
use grail_broker::EmbeddedBroker;
use grail_store::Store;

use super::{bridge, receipts::receipt, users::Asked, world::World};

async fn save(w: &World, asked: &Asked, folder: &Path) {
    let receipt = receipt(w, asked).await;
    let path = folder.join(format!("{}.json", asked.id));
    std::fs::write(path, serde_json::to_vec(&receipt).unwrap()).unwrap();
}

#[tokio::test]
async fn a_wiped_database_is_rebuilt_and_settles() {
    let w = World::new().await;
    let receipts = tempfile::tempdir().unwrap();
    let folder = receipts.path();
    let paid = w.ready_peg_ins(2).await.remove(0).0;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let open = w.ready_peg_ins(2).await;
    let unpaid = w.ask_peg_in().await;
    for asked in [&paid, &open[0].0, &open[1].0, &unpaid] {
        save(&w, asked, folder).await;
    }
    std::fs::write(folder.join("notes.txt"), "no receipt").unwrap();
    std::fs::write(folder.join("broken.json"), "{}").unwrap();

    let new = w.emptied().await;
    let rebuilt = from_chain(&new.backend, Some(folder)).await.unwrap();
    let expected = Rebuilt {
        height: w.tip_height().await,
        settlements: 1,
        requests: 3,
        // The broken one, and the one that nobody has paid to.
        receipts_left: 2,
    };
    assert_eq!(rebuilt, expected);
    assert_eq!(new.standing(&paid).await, ("paid", None));
    for (asked, _) in &open {
        assert_eq!(new.standing(asked).await, ("ready", None));
    }
    assert_eq!(new.alarms().await, [""; 0]);
    new.settle().await;
    new.mine_mempool().await;
    new.mine_empty(1).await;
    for (asked, _) in &open {
        assert_eq!(new.standing(asked).await, ("paid", None));
        assert_eq!(new.paid_count(asked).await, 1);
    }
    assert_eq!(new.build().await, Built::Nothing);
    assert_eq!(new.alarms().await, [""; 0]);
    // What is there is not made again over it.
    let again = from_chain(&new.backend, None).await;
    assert!(again.unwrap_err().to_string().contains("has read blocks"));
}

#[tokio::test]
async fn a_rebuild_that_begins_above_the_deployment_says_so() {
    let w = World::new().await;
    w.mine_empty(3).await;
    let mut deployment = bridge::deployment();
    deployment.start_height = w.tip_height().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("grail.db").display());
    let broker = EmbeddedBroker::listen(([127, 0, 0, 1], 0).into()).await;
    let backend = Backend::new(Parts {
        deployment,
        store: Store::open(&url).await.unwrap(),
        node: Node::from_chain(w.chain.clone()),
        broker: std::sync::Arc::new(broker.unwrap()),
        prover: std::sync::Arc::new(bridge::prover()),
        wasm: bridge::WASM.to_vec(),
        config: Config {
            batch_seconds: 0,
            ask_seconds: 60,
            lease_seconds: 60,
            prove_workers: 0,
        },
    });
    let error = from_chain(&backend.await.unwrap(), None).await.unwrap_err();
    assert!(
        error.to_string().contains("none of these blocks"),
        "{error}"
    );
}
