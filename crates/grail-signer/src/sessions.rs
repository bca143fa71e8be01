//! What a running signer remembers of the transactions that it approved.
//!
//! A signature of several rounds has state between them, which must be bound to one transaction and
//! one asker and must never be used twice. This table is where such state lives: opened only from
//! an approval, bounded, in memory alone, gone with the process. Today's signatures have one round
//! and need none of it; a lost session costs an asker one more attempt.
//!
//! Nothing here ends by time: an enclave has no clock of its own to trust. What is too much goes by
//! count, oldest first, so that whoever floods the table pushes out his own sessions on a
//! transaction before anybody else's.

use std::collections::VecDeque;

use bitcoin::Txid;
use grail_policy::{Approved, Decision};
use grail_wire::AskerId;

/// Most sessions at a time: more than all backends of a bridge have transactions under way.
pub const SESSIONS_MAX: usize = 64;

/// Most askers of one transaction at a time.
pub const SESSIONS_PER_TRANSACTION_MAX: usize = 4;

/// The sessions, oldest first.
#[derive(Default)]
pub(crate) struct Sessions(VecDeque<Session>);

/// One asker's way through the signing of one transaction.
pub(crate) struct Session {
    txid: Txid,
    asker: AskerId,
    /// How often this asker was answered with contributions.
    pub answered: u32,
}

impl Sessions {
    /// The session of an approved transaction and its asker, opened where there is none.
    pub(crate) fn open(&mut self, approved: &Approved<Decision>, asker: AskerId) -> &mut Session {
        self.open_for(approved.get().signing().txid(), asker)
    }

    fn open_for(&mut self, txid: Txid, asker: AskerId) -> &mut Session {
        let known = self
            .0
            .iter()
            .position(|session| session.txid == txid && session.asker == asker);
        let session = match known.and_then(|index| self.0.remove(index)) {
            Some(session) => session,
            None => self.make_room(txid, asker),
        };
        // Most recently used last.
        self.0.push_back(session);
        self.0.back_mut().expect("one was put in just now")
    }

    fn make_room(&mut self, txid: Txid, asker: AskerId) -> Session {
        let same = |session: &Session| session.txid == txid;
        if self.0.iter().filter(|session| same(session)).count() >= SESSIONS_PER_TRANSACTION_MAX {
            let oldest = self.0.iter().position(same);
            self.0.remove(oldest.unwrap_or_default());
        } else if self.0.len() >= SESSIONS_MAX {
            self.0.pop_front();
        }
        Session {
            txid,
            asker,
            answered: 0,
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;

    fn txid(number: u8) -> Txid {
        Txid::from_byte_array([number; 32])
    }

    fn asker(number: u8) -> AskerId {
        AskerId([number; 16])
    }

    #[test]
    fn one_session_for_each_transaction_and_asker() {
        let mut sessions = Sessions::default();
        sessions.open_for(txid(1), asker(1)).answered = 7;
        assert_eq!(sessions.open_for(txid(1), asker(2)).answered, 0);
        assert_eq!(sessions.open_for(txid(2), asker(1)).answered, 0);
        assert_eq!(sessions.open_for(txid(1), asker(1)).answered, 7);
        assert_eq!(sessions.count(), 3);
    }

    #[test]
    fn a_flood_on_one_transaction_pushes_out_its_own() {
        let mut sessions = Sessions::default();
        sessions.open_for(txid(1), asker(1)).answered = 7;
        for number in 0..100 {
            sessions.open_for(txid(2), asker(number));
        }
        assert_eq!(sessions.count(), 1 + SESSIONS_PER_TRANSACTION_MAX);
        assert_eq!(sessions.open_for(txid(1), asker(1)).answered, 7);
    }

    #[test]
    fn the_table_never_grows_beyond_its_bound() {
        let mut sessions = Sessions::default();
        for number in 0..100 {
            sessions.open_for(txid(number), asker(1)).answered = u32::from(number);
        }
        assert_eq!(sessions.count(), SESSIONS_MAX);
        assert_eq!(sessions.open_for(txid(0), asker(1)).answered, 0);
        assert_eq!(sessions.open_for(txid(99), asker(1)).answered, 99);
    }
}
