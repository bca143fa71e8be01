//! An event that a state does not take.

/// An event that does not apply to a state. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event} does not apply in state {state} ({})", kind.code())]
pub struct Unexpected {
    /// Name of the state.
    pub state: &'static str,
    /// Name of the event.
    pub event: &'static str,
    /// What to make of it.
    pub kind: UnexpectedKind,
}

/// What an [`Unexpected`] means to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnexpectedKind {
    /// Told before, or made irrelevant by what came since: nothing to do.
    Superseded,
    /// Cannot happen after what was told before: an alarm.
    Impossible,
}

impl UnexpectedKind {
    /// Stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Impossible => "impossible",
        }
    }
}
