//! Every real transaction, and every recorded change of one.

use grail_charms::read_compatible;
use grail_spell_judge::vectors::{bases, folder, recorded};
use grail_spell_judge::verdict::judge_all;

#[test]
fn transactions_read_as_charms_reads_them() {
    let Some(folder) = folder() else { return };
    let bases = bases(&folder);
    let mut tally = judge_all(&bases, |base| Some((base.name.clone(), base.tx.clone())));
    tally.vectors = bases.len();
    tally.report("vectors");
    assert!(tally.both_accept >= 17 && tally.both_refuse >= 2, "{tally}");
    assert_eq!(tally.strict, 0, "none is of the current version");
}

#[test]
fn recorded_mutations_read_as_charms_reads_them_and_as_recorded() {
    let Some(folder) = folder() else { return };
    let recorded = recorded(&folder);
    for mutation in &recorded {
        let accepted = matches!(read_compatible(&mutation.tx(), None), Ok(Some(_)));
        let name = format!("{} of {}", mutation.name, mutation.base);
        assert_eq!(accepted, mutation.upstream == "valid", "{name}");
    }
    let tally = judge_all(&recorded, |mutation| {
        let name = format!("{} of {}", mutation.name, mutation.base);
        Some((name, mutation.tx()))
    });
    tally.report("recorded mutations");
    assert!(tally.mutants >= 243 && tally.both_accept >= 80, "{tally}");
}
