//! The wallet on a real bridge: node, operators, backend.
#![allow(clippy::unwrap_used)]

use bitcoin::{Address, Amount};
use grail_api::Kind;
use grail_cli::progress::Quiet;
use grail_cli::{Session, Settings, arguments, commands};
use grail_testkit::{Cluster, ClusterConfig};
use grail_types::{Network, RequestId};
use tempfile::TempDir;

struct User {
    _folder: TempDir,
    settings: Settings,
}

impl User {
    fn new(cluster: &Cluster) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            home: folder.path().join("wallet"),
            network: Some(Network::Regtest),
            node: Some(cluster.node.rpc_url()),
            node_cookie: Some(cluster.node.cookie_path()),
            api: Some(cluster.backend.url()),
            ..Settings::default()
        };
        commands::init(&settings, &arguments::Init::default()).unwrap();
        Self {
            _folder: folder,
            settings,
        }
    }

    fn open(&self) -> Session {
        Session::open(self.settings.clone()).unwrap()
    }

    fn address(&self) -> Address {
        self.open().wallet.fresh_address().unwrap()
    }

    fn funds(&self) -> (u64, u64) {
        let balance = commands::balance(&mut self.open(), &mut Quiet).unwrap();
        (balance.btc_sat, balance.zkbtc_sat)
    }
}

fn peg(amount: u64) -> arguments::Peg {
    arguments::Peg {
        amount: Amount::from_sat(amount),
        anyway: false,
        to: None,
        fee_cap: None,
        reclaim_delay: None,
        fee_rate: None,
        one_way: false,
    }
}

fn settle(cluster: &Cluster, kind: Kind, id: &str) -> (RequestId, u64) {
    let id = id.parse().unwrap();
    cluster.node.mine(1);
    let paid = cluster.settle(kind, &[id]).unwrap();
    (id, paid[0].settlement.as_ref().unwrap().amount_out_sat)
}

#[test]
fn bitcoin_goes_in_moves_as_zkbtc_and_comes_out_and_the_books_balance() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let (alice, bob) = (User::new(&cluster), User::new(&cluster));
    for user in [&alice, &bob] {
        let script = user.address().script_pubkey();
        cluster.node.fund(&script, Amount::from_sat(1_000_000));
    }
    cluster.node.mine(1);

    let roster = commands::roster(&mut alice.open(), &mut Quiet).unwrap();
    assert!(
        roster.signers.iter().all(|signer| signer.is_attested),
        "{roster}"
    );
    assert_eq!(roster.nft, "verified");

    let pegged = commands::peg_in(&mut alice.open(), &peg(500_000), &mut Quiet).unwrap();
    let (id, minted) = settle(&cluster, Kind::PegIn, &pegged.id);
    assert_eq!(alice.funds(), (500_000 - pegged.fee_sat, minted));
    let mut seen = Vec::new();
    commands::watch(&alice.open(), &id, |report| {
        seen.push(report.status.state);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, [grail_api::RequestState::Paid]);

    let send = arguments::Send {
        amount: Amount::from_sat(200_000),
        address: bob.address().to_string(),
        fee_rate: None,
    };
    commands::send_zkbtc(&mut alice.open(), &send, &mut Quiet).unwrap();
    cluster.node.mine(1);
    assert_eq!(alice.funds().1, minted - 200_000);
    assert_eq!(bob.funds(), (1_000_000, 200_000));

    let pegged = commands::peg_out(&mut bob.open(), &peg(150_000), &mut Quiet).unwrap();
    let (_, paid_out) = settle(&cluster, Kind::PegOut, &pegged.id);
    let (btc, zkbtc) = bob.funds();
    assert_eq!(zkbtc, 50_000);
    // Besides the fee, a coin under the deposit (it came back in the payout) and one under the
    // change, which held the coin that the received zkBTC sat on.
    let carrier = cluster.params().carrier.to_sat();
    assert_eq!(btc, 1_000_000 - pegged.fee_sat - carrier + paid_out);

    let reserves = commands::reserves(&mut bob.open(), &mut Quiet).unwrap();
    assert_eq!(
        (reserves.is_backed, reserves.agrees),
        (Some(true), Some(true)),
        "{reserves}"
    );
    assert_eq!(reserves.api.supply_sat, minted - 150_000);
}

#[test]
fn a_deposit_that_is_not_served_is_taken_back() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new(&cluster);
    let script = user.address().script_pubkey();
    cluster.node.fund(&script, Amount::from_sat(1_000_000));
    cluster.node.mine(1);
    let pegged = commands::peg_in(&mut user.open(), &peg(100_000), &mut Quiet).unwrap();
    settle(&cluster, Kind::PegIn, &pegged.id);

    // The same address again: not served.
    let send = arguments::Send {
        amount: Amount::from_sat(50_000),
        address: pegged.deposit_address.clone(),
        fee_rate: None,
    };
    let again = commands::send(&mut user.open(), &send, &mut Quiet).unwrap();
    cluster.node.mine(24);
    let before = user.funds().0;
    let reclaim = arguments::Reclaim {
        receipt: pegged.id.clone(),
        outpoint: Some(format!("{}:0", again.txid).parse().unwrap()),
        amount: None,
        deposit_tx: None,
        to: None,
        fee_rate: None,
        broadcast: true,
    };
    let reclaimed = commands::reclaim(&mut user.open(), &reclaim, &mut Quiet).unwrap();
    cluster.node.mine(1);
    assert_eq!(user.funds().0, before + reclaimed.amount_sat);
}
