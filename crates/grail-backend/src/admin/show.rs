//! Answers in words, for people. Scripts read the JSON.

use std::fmt::{Display, Formatter, Result};

use super::protocol::{ActionRow, AlarmRow, Answer, JobRow, LaneRow, Listed, Refusal, Standing};

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Status(standing) => standing.fmt(f),
            Self::Done { action, note } => write!(f, "done (number {action} in the log): {note}"),
            Self::Jobs(listed) => show(f, listed, "no job is left", "--from"),
            Self::Alarms(listed) => show(f, listed, "no alarm", "--from"),
            Self::Log(listed) => show(f, listed, "nothing was asked for by hand", "--from"),
            Self::Refused(Refusal { code, detail }) => write!(f, "refused: {code}: {detail}"),
        }
    }
}

fn show<T: Display>(f: &mut Formatter<'_>, listed: &Listed<T>, none: &str, more: &str) -> Result {
    if listed.items.is_empty() {
        return f.write_str(none);
    }
    for (index, item) in listed.items.iter().enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        item.fmt(f)?;
    }
    match listed.next {
        Some(next) => write!(f, "\nmore: {more} {next}"),
        None => Ok(()),
    }
}

impl Display for Standing {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.paused {
            Some(paused) => writeln!(f, "paused    {paused}")?,
            None => writeln!(f, "paused    no")?,
        }
        match self.height {
            Some(height) => write!(f, "height    {height}")?,
            None => write!(f, "height    no block was read yet")?,
        }
        if let Some(from) = self.rescan_from {
            write!(f, ", about to be read again from {from}")?;
        }
        let (stop, look) = (self.alarms_stop, self.alarms_look);
        write!(f, "\nalarms    {stop} that stop, {look} to look at")?;
        write!(f, "\nversion   {}", self.version)?;
        for row in &self.lane {
            write!(f, "\nlane      {row}")?;
        }
        Ok(())
    }
}

impl Display for LaneRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (settlement, stage, age) = (self.settlement, &self.stage, self.age_seconds);
        write!(f, "settlement {settlement} is {stage} for {age} s")?;
        if let Some(deadline) = self.deadline_seconds {
            write!(f, " of {deadline}")?;
        }
        match &self.txid {
            Some(txid) => write!(f, ", {txid}"),
            None => Ok(()),
        }
    }
}

impl Display for JobRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (id, key, state, attempts) = (self.id, &self.key, &self.state, self.attempts);
        write!(f, "{id:>6}  {key:<20} {state:<7} {attempts} attempts")?;
        match &self.last_error {
            Some(error) => write!(f, ", {error}"),
            None => Ok(()),
        }
    }
}

impl Display for AlarmRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (id, severity, code) = (self.id, &self.severity, &self.code);
        let (details, seen, at) = (&self.details, self.seen, self.at);
        write!(
            f,
            "{id:>6}  {severity:<5} {code}: {details} ({seen} times since {at}"
        )?;
        match self.acknowledged_at {
            Some(at) => write!(f, ", acknowledged at {at})"),
            None => f.write_str(")"),
        }
    }
}

impl Display for ActionRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (id, at, uid, action) = (self.id, self.at, self.uid, &self.action);
        write!(f, "{id:>6}  {at}  user {uid}  {action} {}", self.subject)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
