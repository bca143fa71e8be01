//! Messages between backend and operators that are lost, doubled, late or out of order.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use grail_api::Kind;
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{Cluster, ClusterConfig, User, Weather};

#[test]
fn bad_weather_delays_and_changes_nothing() {
    let cluster = Cluster::start(&ClusterConfig {
        has_relay: true,
        backend: BackendConfig {
            ask_seconds: 1,
            ..BackendConfig::default()
        },
        ..ClusterConfig::default()
    });
    let relay = cluster.relay.as_ref().unwrap();
    let user = User::new("alice");
    let mut minted = 0;
    let mut serial = 0;
    let mut round = |before: &dyn Fn()| {
        let (asked, _) = common::deposit(&cluster, &user, 100_000);
        cluster.node.mine(1);
        before();
        let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        minted += common::amount_out(&paid[0]);
        serial += 1;
        let audit = common::books(&cluster);
        assert_eq!((audit.state.supply, audit.state.serial), (minted, serial));
    };

    relay.set_weather(Weather {
        twice_percent: 100,
        ..Weather::default()
    });
    round(&|| {});
    relay.set_weather(Weather {
        lost_percent: 40,
        ..Weather::default()
    });
    round(&|| {});
    relay.set_weather(Weather {
        lost_percent: 20,
        twice_percent: 50,
        gathering: Some(Duration::from_millis(150)),
    });
    round(&|| {});
    // Everything that was ever said comes again, asks and answers of settlements long done.
    relay.set_weather(Weather::default());
    round(&|| {
        assert!(relay.message_count() > 20);
        relay.repeat_all();
    });
    relay.repeat_all();
    round(&|| relay.cut());
    common::no_alarm(&cluster);
}
