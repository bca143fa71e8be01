//! What ships has no part that is for development (ADR 10): neither the feature nor the crate.

/// The programs that ship.
pub const PROGRAMS: [&str; 4] = ["grail-enclave", "grail-host", "grail-backend", "grail-cli"];

/// The features that add parts for development, and an action for tests.
pub const FEATURES: [&str; 2] = ["development", "test-action"];
/// The crate that is nothing else.
const SIMULATOR: &str = "grail-attest-dev";

/// Complains of each crate of `program` that is, or has, a part for development. `tree` is what
/// `cargo tree` prints by the format `{p} {f}`.
pub fn check(program: &str, tree: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        // The last word: the features, unless there is none and the line ends in a space.
        let features = words.next_back().unwrap_or_default();
        let is_development = features
            .split(',')
            .any(|feature| FEATURES.contains(&feature));
        if name.starts_with("grail") && (is_development || name == SIMULATOR) {
            complaints.push(format!(
                "{program} as it ships contains development parts: {line}"
            ));
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_a_program_without_development_parts() {
        let tree = "grail-enclave v0.1.0 (/somewhere/grail-enclave) \n\
                    grail-types v0.1.0 (/somewhere/development) \n\
                    hex v0.4.3 alloc,default,development\n";
        assert_eq!(check("grail-enclave", tree), [""; 0]);
    }

    #[test]
    fn complains_of_the_feature_wherever_it_is_on_and_of_the_simulator() {
        let tree = "grail-cli v0.1.0 (/somewhere) \n\
                    grail-spell v0.1.0 (/somewhere) ark-bls12-381,development\n\
                    grail-spell v0.1.0 (/somewhere) ark-bls12-381,development\n\
                    grail-policy v0.1.0 (/somewhere) test-action\n\
                    grail-attest-dev v0.1.0 (/somewhere) \n";
        let complaints = check("grail-cli", tree);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[0].contains("grail-attest-dev"));
        assert!(complaints[1].contains("grail-policy"));
        assert!(complaints[2].contains("grail-spell"));
    }
}
