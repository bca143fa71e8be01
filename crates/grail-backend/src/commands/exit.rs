//! Why the program ended, for whoever starts it again: exit codes.

/// All exit codes, and what each says.
pub const CODES: [(u8, &str); 8] = [
    (0, "done, or asked to end"),
    (1, "failure; starting again may do"),
    (2, "command line, or a variable"),
    (
        Fault::Configuration.exit_code(),
        "configuration: the configuration file, the deployment, the contract or a prover's option is not right; a node is on another network, does not know the password, or lacks blocks that `rebuild` must read",
    ),
    (
        Fault::Database.exit_code(),
        "the database cannot be opened, is damaged, or is another bridge's",
    ),
    (
        Fault::Address.exit_code(),
        "an address to listen on is taken or not this machine's, or the admin socket cannot be made",
    ),
    (
        Fault::NotRunning.exit_code(),
        "`admin` alone: no backend runs on this database",
    ),
    (
        Fault::Refused.exit_code(),
        "`admin` and `migrate` alone: refused; the answer has a code",
    ),
];

/// The exit codes, for `--help`.
pub fn help() -> String {
    let lines = CODES.map(|(code, words)| format!("  {code}  {words}\n"));
    format!("Exit codes:\n{}", lines.concat())
}

/// What is at fault when starting again changes nothing. Attached to an error as its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The deployment, the contract, an option's value, or the node's network.
    #[error("the configuration")]
    Configuration,
    /// It cannot be opened, or is another bridge's.
    #[error("the database")]
    Database,
    /// It is taken, or not ours.
    #[error("an address to listen on")]
    Address,
    /// `admin` asks a backend that runs, and none does.
    #[error("no backend runs")]
    NotRunning,
    /// The backend refused what `admin` asked for, or `migrate` would spoil something.
    #[error("refused")]
    Refused,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 5] = [
        Self::Configuration,
        Self::Database,
        Self::Address,
        Self::NotRunning,
        Self::Refused,
    ];

    /// The program's exit code. 2 is the command line's.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Configuration => 3,
            Self::Database => 4,
            Self::Address => 5,
            Self::NotRunning => 6,
            Self::Refused => 7,
        }
    }

    /// The exit code of an error: 1 when starting again may do.
    pub fn exit_code_of(error: &anyhow::Error) -> u8 {
        error.downcast_ref::<Self>().map_or(1, |it| it.exit_code())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_ends_with_the_code_of_its_fault_wherever_it_stands() {
        let plain = || anyhow::anyhow!("cause");
        assert_eq!(Fault::exit_code_of(&plain()), 1);
        for fault in Fault::ALL {
            let error = plain().context(fault).context("starting");
            assert_eq!(Fault::exit_code_of(&error), fault.exit_code());
            let failed: Result<(), _> = Err(plain());
            let error = failed.context(fault).unwrap_err();
            assert_eq!(Fault::exit_code_of(&error), fault.exit_code());
        }
    }

    #[test]
    fn the_manual_has_the_same_exit_codes() {
        let manual = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/operators/backend.md"
        );
        let manual = std::fs::read_to_string(manual).unwrap();
        let (_, table) = manual
            .split_once("| Exit code | Meaning |\n|---|---|\n")
            .unwrap();
        let rows: Vec<_> = table
            .lines()
            .take_while(|line| line.starts_with('|'))
            .collect();
        let expected = CODES.map(|(code, words)| format!("| {code} | {words} |"));
        assert_eq!(rows, expected);
    }

    #[test]
    fn each_fault_has_an_exit_code_of_its_own() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
        for fault in Fault::ALL {
            assert!(codes.contains(&fault.exit_code()), "{fault}");
        }
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
