//! What an API says that the bridge went by once: hints, which can at most cost time.

use grail_api::PageQuery;
use grail_types::Roster;
use grail_wallet::recovery::{SCRIPTS_MAX, Search};

use crate::failure::Failure;
use crate::progress::{Note, Progress};
use crate::session::Session;

/// Most rosters taken from an API, the newest first.
const HINTS_MAX: u64 = 4;

/// Looks with the delays of former parameters too, as an API tells them, as far as there is room:
/// no answer of an API keeps this from what is looked for without it.
pub(super) fn add_delays(search: &mut Search, hints: &[Hint], progress: &mut dyn Progress) {
    for delay in hints.iter().filter_map(|hint| hint.reclaim_delay) {
        if search.delays.contains(&delay) {
            continue;
        }
        search.delays.push(delay);
        if search.count() > SCRIPTS_MAX {
            search.delays.pop();
            let text = format!(
                "a reclaim delay of {delay} blocks is not looked for, there would be too much: begin later, with \
                 --from-height, or name it with --reclaim-delay"
            );
            progress.note(Note::new("recover-delay-left-out", text));
        }
    }
}

/// What an API says that the bridge went by once.
pub(super) struct Hint {
    pub(super) roster: Option<Roster>,
    /// The shortest delay that was served then.
    pub(super) reclaim_delay: Option<u16>,
}

/// What the API says, if there is one.
pub(super) fn hints(session: &Session, progress: &mut dyn Progress) -> Vec<Hint> {
    if !session.has_api() {
        return Vec::new();
    }
    hints_of_api(session).unwrap_or_else(|failure| {
        progress.note(Note::new(failure.code, failure.message));
        Vec::new()
    })
}

fn hints_of_api(session: &Session) -> Result<Vec<Hint>, Failure> {
    let client = session.api()?;
    let query = PageQuery {
        after: None,
        limit: u16::try_from(HINTS_MAX).ok(),
    };
    let mut hints = Vec::new();
    for summary in client.rosters(&query)?.items {
        if hints.len() as u64 == HINTS_MAX {
            break;
        }
        let record = client.roster_of(summary.epoch)?;
        hints.push(Hint {
            roster: record.roster().ok(),
            reclaim_delay: record.params.map(|params| params.reclaim_delay_min),
        });
    }
    Ok(hints)
}

#[cfg(test)]
mod tests {
    use bitcoin::Amount;
    use grail_fixtures::script::{roster, terms};
    use grail_wallet::recovery::Era;

    use super::*;
    use crate::progress::Notes;

    fn search(windows: u32) -> Search {
        let terms = terms();
        Search {
            bridge: grail_types::Bridge {
                network: terms.network,
                app: terms.bridge,
            },
            windows: 0..=windows,
            fee_caps: vec![Amount::from_sat(10_000)],
            delays: vec![24],
            destination: None,
            eras: vec![Era {
                roster: roster().1,
                windows: 0..=windows,
            }],
        }
    }

    fn hint(reclaim_delay: u16) -> Hint {
        Hint {
            roster: None,
            reclaim_delay: Some(reclaim_delay),
        }
    }

    #[test]
    fn the_delays_of_former_parameters_are_looked_for_once_each() {
        let (mut search, mut notes) = (search(9), Notes::default());
        let said = [hint(30), hint(24), hint(30), hint(48)];
        add_delays(&mut search, &said, &mut notes);
        assert_eq!(search.delays, [24, 30, 48]);
        assert_eq!(notes, Notes::default());
    }

    #[test]
    fn what_an_api_says_keeps_nobody_from_looking() {
        let mut windows = 1;
        while search(windows).count() <= SCRIPTS_MAX / 3 {
            windows *= 2;
        }
        let (mut search, mut notes) = (search(windows), Notes::default());
        let said: Vec<Hint> = (100..110).map(hint).collect();
        add_delays(&mut search, &said, &mut notes);
        assert!(search.count() <= SCRIPTS_MAX);
        assert_eq!(search.delays.first(), Some(&24));
        let left_out = 11 - search.delays.len();
        assert_eq!(notes.0.len(), left_out);
        assert!(left_out > 0);
        assert_eq!(notes.0[0].code, "recover-delay-left-out");
    }
}
