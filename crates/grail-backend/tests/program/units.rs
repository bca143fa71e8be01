//! The systemd units of the manual.

use std::path::PathBuf;

use grail_backend::commands::exit;

use super::*;

const UNITS: [&str; 2] = ["grail-backend", "grail-host"];

fn unit(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators/systemd");
    let path = PathBuf::from(folder).join(format!("{name}.service"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn units_are_told_when_it_is_ready_and_shut_in() {
    // Whatever is not worth another start, but for what only `admin` ends with.
    let of_admin = [exit::Fault::NotRunning, exit::Fault::Refused].map(exit::Fault::exit_code);
    let final_codes: Vec<_> = exit::CODES
        .iter()
        .filter(|(code, _)| *code > 1 && !of_admin.contains(code))
        .map(|(code, _)| code.to_string())
        .collect();
    let prevent = format!("RestartPreventExitStatus={}", final_codes.join(" "));
    for name in UNITS {
        let text = unit(name);
        for line in [
            "Type=notify",
            "Restart=on-failure",
            prevent.as_str(),
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "MemoryDenyWriteExecute=yes",
            "StateDirectoryMode=0700",
        ] {
            assert!(text.lines().any(|it| it == line), "{name}: no {line}");
        }
    }
}

/// By systemd's own reading, where it is installed; elsewhere there is nobody to ask.
#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let text = unit(name);
        let program = format!("/usr/local/bin/{name}");
        assert!(text.contains(&format!("\nExecStart={program} ")), "{name}");
        // It wants programs that are there.
        let path = folder.path().join(format!("{name}.service"));
        std::fs::write(&path, text.replace(&program, "/bin/true")).unwrap();
        match Command::new("systemd-analyze")
            .arg("verify")
            .arg(&path)
            .output()
        {
            Ok(output) => assert!(
                output.status.success() && output.stderr.is_empty(),
                "{output:?}"
            ),
            Err(error) => eprintln!("systemd-analyze is not here: {error}"),
        }
    }
}
