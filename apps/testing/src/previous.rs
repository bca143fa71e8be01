//! Previous transactions as Charms shows them.

use std::collections::BTreeMap;

use charms_data::Data;

use crate::spell::script;

/// A transaction of one input that pays a script, and a spell of version 15 behind it: hexadecimal,
/// without witness.
pub fn previous() -> String {
    previous_with(&[script(0x11), spell_output(15)])
}

/// The same with these scripts.
pub fn previous_with(scripts: &[Vec<u8>]) -> String {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([0x31; 36]);
    bytes.extend([0, 0xff, 0xff, 0xff, 0xff]);
    bytes.push(u8::try_from(scripts.len()).unwrap());
    for script in scripts {
        bytes.extend(330_u64.to_le_bytes());
        bytes.push(u8::try_from(script.len()).unwrap());
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    hex::encode(bytes)
}

/// How Charms shows it to a contract.
pub fn shown(hex: &str) -> Data {
    Data::from(&BTreeMap::from([("bitcoin", hex)]))
}

/// The output of a spell, empty but for its version.
pub fn spell_output(version: u32) -> Vec<u8> {
    let payload = Data::from(&(BTreeMap::from([("version", version)]), [0_u8; 4])).bytes();
    let mut script = b"\x6a\x05spell".to_vec();
    script.push(u8::try_from(payload.len()).unwrap());
    script.extend(payload);
    script
}
