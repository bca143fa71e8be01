//! Two rounds of chaos; more of it is the slow suite `chaos`.
#![allow(clippy::unwrap_used)]

use grail_testkit::chaos::{ChaosConfig, run};

#[test]
fn whatever_goes_wrong_every_request_has_its_end() {
    grail_testkit::build_programs();
    let config = ChaosConfig {
        seed: 1,
        rounds: 2,
        disturbances: 15,
        folder: None,
    };
    let report = run(&config, &|step| println!("{step}")).unwrap();
    assert!(report.kills > 0 && report.reorgs > 0, "{report}");
    assert!(report.paid > 0, "{report}");
}
