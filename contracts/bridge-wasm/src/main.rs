//! The bridge app contract as Charms runs it: reads `(app, tx, x, w)` from standard input and ends
//! abnormally unless the contract accepts. All rules live in `grail-bridge-contract`.

charms_sdk::main!(grail_bridge_contract::app_contract);
