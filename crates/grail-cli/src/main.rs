//! `grail`: reads the command line, runs one command, prints its answer.
//!
//! Exit codes: 0 done, 1 failed (the error has a code; `spell verify`, `attest verify` and
//! `auditor` have printed what is wrong), 2 wrong usage.

use std::io::Write as _;
use std::process::ExitCode;

use grail_cli::arguments::{
    Arguments, AttestCommand, Command, Explained, OperatorCommand, OperatorKey, PassphraseCommand,
    Receipts, ReceiptsCommand, SpellCommand, WalletCommand,
};
use grail_cli::home::keep_private;
use grail_cli::progress::{Bar, JsonNotes, Progress};
use grail_cli::report::{Report, SpellsReport};
use grail_cli::{Failure, Session, Settings, commands};
use grail_types::Network;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let is_json = arguments.is_json();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            if is_json {
                eprintln!("{}", serde_json::json!({ "error": failure }));
            } else {
                eprintln!("error: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether the answer is a good one; it is printed either way.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut quiet = JsonNotes;
    let mut bar = Bar::new();
    let progress: &mut dyn Progress = if arguments.is_json() {
        &mut quiet
    } else {
        &mut bar
    };
    let is_json = arguments.is_json();
    let is_of_wallet = !matches!(
        arguments.command,
        Command::Spell(_) | Command::Attest(_) | Command::Auditor(_)
    );
    if let Some(settings) = arguments.settings().filter(|_| is_of_wallet) {
        keep_private(&settings.home, progress);
    }
    if let Command::Status(status) = &arguments.command
        && status.watch
    {
        let session = Session::open_to_read(settings(arguments)?)?;
        commands::watch(&session, &status.id, |report| print(&report, is_json))?;
        return Ok(true);
    }
    if let Command::Operator(OperatorCommand::Status(asked)) = &arguments.command
        && asked.watch
    {
        let settings = arguments.settings_without_home();
        commands::operator::watch(&settings, asked, |report| print(&report, is_json))?;
        return Ok(true);
    }
    let answer = answer(arguments, progress)?;
    print(answer.report.as_ref(), is_json)?;
    Ok(answer.is_good)
}

struct Answer {
    report: Box<dyn Report>,
    /// Whether what was judged holds; commands that judge nothing end well when they end.
    is_good: bool,
}

fn answer(arguments: &Arguments, progress: &mut dyn Progress) -> Result<Answer, Failure> {
    let open = || Session::open(settings(arguments)?);
    // The wallet as it was last seen is better than none, while another command is at work.
    let look = || match open() {
        Err(busy) if busy.code == "wallet-busy" => Session::open_to_read(settings(arguments)?),
        opened => opened,
    };
    // Whoever must give a passphrase gives it before anybody is asked anything.
    let sign = || {
        let session = open()?;
        session.home.unlock()?;
        Ok::<_, Failure>(session)
    };
    // Whatever takes long and touches no coin leaves the folder to other commands.
    let read = || Session::open_to_read(settings(arguments)?);
    let mut is_good = true;
    let report: Box<dyn Report> = match &arguments.command {
        Command::Init(init) => Box::new(commands::init(&settings(arguments)?, init)?),
        Command::Rescan(asked) => {
            Box::new(commands::rescan(&settings(arguments)?, asked, progress)?)
        }
        Command::Recover(asked) => {
            Box::new(commands::recover(&settings(arguments)?, asked, progress)?)
        }
        Command::Address => Box::new(commands::address(&mut open()?)?),
        Command::Balance => Box::new(commands::balance(&mut look()?, progress)?),
        Command::List => Box::new(commands::list(&mut look()?, progress)?),
        Command::Send(send) => Box::new(commands::send(&mut sign()?, send, progress)?),
        Command::SendZkbtc(send) => Box::new(commands::send_zkbtc(&mut sign()?, send, progress)?),
        Command::Bump(asked) => Box::new(commands::bump(&mut sign()?, asked, progress)?),
        Command::PegIn(peg) => Box::new(commands::peg_in(&mut sign()?, peg, progress)?),
        Command::PegOut(peg) => Box::new(commands::peg_out(&mut sign()?, peg, progress)?),
        Command::Status(status) => Box::new(commands::status(&read()?, &status.id)?),
        Command::Bridge => Box::new(commands::bridge(&read()?)?),
        Command::Reclaim(reclaim) => Box::new(commands::reclaim(&mut sign()?, reclaim, progress)?),
        Command::Roster => Box::new(commands::roster(&mut read()?, progress)?),
        Command::Rosters(asked) => Box::new(commands::rosters(&mut read()?, asked, progress)?),
        Command::Reserves => Box::new(commands::reserves(&mut read()?, progress)?),
        Command::Receipts(Receipts { command: None }) => {
            Box::new(commands::receipts(&read()?, progress)?)
        }
        Command::Receipts(Receipts {
            command: Some(ReceiptsCommand::Send(asked)),
        }) => {
            let report = commands::send_receipts(&mut look()?, asked, progress)?;
            is_good = report.all_taken();
            Box::new(report)
        }
        Command::Passphrase(PassphraseCommand::Set(asked)) => {
            Box::new(commands::set_passphrase(&open()?, asked)?)
        }
        Command::Passphrase(PassphraseCommand::Remove) => {
            Box::new(commands::remove_passphrase(&open()?)?)
        }
        Command::Words(asked) => Box::new(commands::words(&read()?, asked)?),
        Command::Wallet(WalletCommand::Explain(asked)) => {
            let mut session = look()?;
            match asked.what {
                Explained::Output(outpoint) => {
                    Box::new(commands::explain(&mut session, outpoint, progress)?)
                }
                Explained::Transaction(txid) => Box::new(commands::explain_transaction(
                    &mut session,
                    txid,
                    asked.block.as_ref(),
                )?),
            }
        }
        Command::Spell(SpellCommand::Verify(asked)) => {
            let network = arguments.network().unwrap_or(Network::Mainnet);
            let mut stdin = std::io::stdin().lock();
            let report = SpellsReport(commands::verify(&asked.files, network, &mut stdin));
            is_good = report.all_valid();
            Box::new(report)
        }
        Command::Attest(AttestCommand::Verify(asked)) => {
            let mut stdin = std::io::stdin().lock();
            let report = commands::verify_evidence(asked, &mut stdin)?;
            is_good = report.is_valid;
            Box::new(report)
        }
        Command::Operator(asked) => operator(asked, arguments, progress)?,
        Command::Auditor(asked) => {
            let report = commands::audit(&arguments.settings_without_home(), asked, progress)?;
            is_good = report.is_sound();
            Box::new(report)
        }
    };
    Ok(Answer { report, is_good })
}

/// Only whoever pays needs a wallet.
fn operator(
    command: &OperatorCommand,
    arguments: &Arguments,
    progress: &mut dyn Progress,
) -> Result<Box<dyn Report>, Failure> {
    use commands::operator as of;
    let settings = arguments.settings_without_home();
    Ok(match command {
        OperatorCommand::Key(OperatorKey::New(asked)) => Box::new(of::new_key(asked)?),
        OperatorCommand::Propose(asked) => Box::new(of::propose(&settings, asked)?),
        OperatorCommand::Approve(asked) => Box::new(of::approve(asked)?),
        OperatorCommand::Status(asked) => Box::new(of::status(&settings, asked)?),
        OperatorCommand::Cancel(asked) => Box::new(of::cancel(&settings, asked)?),
        OperatorCommand::Send(asked) => Box::new(of::send(&settings, asked)?),
        OperatorCommand::Sponsor(asked) => {
            let mut session = Session::open(self::settings(arguments)?)?;
            session.home.unlock()?;
            Box::new(of::sponsor(&mut session, asked, progress)?)
        }
    })
}

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    arguments
        .settings()
        .ok_or_else(|| Failure::new("no-home", "no home folder: give --home"))
}

/// What was done must not be lost with standard output: a full disk or a closed pipe comes after a
/// payment, not before it.
fn print(report: &dyn Report, is_json: bool) -> Result<(), Failure> {
    let text = if is_json {
        report.json().to_string()
    } else {
        report.to_string()
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| {
            Failure::new(
                "answer-unwritten",
                format!(
                    "the command is done, and its answer could not be written ({error}): {text}"
                ),
            )
        })
}
