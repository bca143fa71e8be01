//! An open channel: messages, and signs of life.

use super::{Channel, NotSent, Output, State};
use crate::{
    frame::FrameKind,
    limits::{FRAME_BODY_MAX_BYTES, MESSAGE_MAX_BYTES, PING_AFTER},
    reason::Reason,
};

/// What is kept while a channel is open.
#[derive(Default)]
pub(super) struct Open {
    /// The message whose parts are coming in, all of them authentic.
    parts: Vec<u8>,
}

impl Open {
    fn extend(&mut self, part: &[u8]) -> Result<(), Reason> {
        if self.parts.len().saturating_add(part.len()) > MESSAGE_MAX_BYTES {
            return Err(Reason::MessageTooLong);
        }
        self.parts.extend_from_slice(part);
        Ok(())
    }
}

impl Channel {
    pub(super) fn hear(&mut self, frame: &[u8], outputs: &mut Vec<Output>) -> Result<(), Reason> {
        let (kind, body) = self.open_frame(frame)?;
        let State::Open(open) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        match kind {
            FrameKind::Last => {
                open.extend(&body)?;
                outputs.push(Output::Message(std::mem::take(&mut open.parts)));
                Ok(())
            }
            // A message has one way of being cut, and none that costs frames without end.
            FrameKind::Part if body.len() == FRAME_BODY_MAX_BYTES => open.extend(&body),
            FrameKind::Ping if body.is_empty() => Ok(()),
            FrameKind::Part | FrameKind::Ping => Err(Reason::FrameMalformed),
            // There is one proof in a channel, at its beginning.
            FrameKind::Proof | FrameKind::Farewell => Err(Reason::OutOfTurn),
        }
    }

    pub(super) fn send(&mut self, message: &[u8], outputs: &mut Vec<Output>) -> Result<(), Reason> {
        if !self.is_open() {
            outputs.push(Output::NotSent(NotSent::NotOpen));
            return Ok(());
        }
        if message.len() > MESSAGE_MAX_BYTES {
            outputs.push(Output::NotSent(NotSent::TooLong {
                max: MESSAGE_MAX_BYTES,
                got: message.len(),
            }));
            return Ok(());
        }
        let mut rest = message;
        while rest.len() > FRAME_BODY_MAX_BYTES {
            let (part, after) = rest.split_at(FRAME_BODY_MAX_BYTES);
            self.seal_frame(FrameKind::Part, part, outputs)?;
            rest = after;
        }
        self.seal_frame(FrameKind::Last, rest, outputs)
    }

    /// Says that this end is there, if it has said nothing for a while.
    pub(super) fn ping(&mut self, outputs: &mut Vec<Output>) -> Result<(), Reason> {
        if self.is_open() && self.now.since(self.said) >= PING_AFTER {
            self.seal_frame(FrameKind::Ping, &[], outputs)?;
        }
        Ok(())
    }
}
