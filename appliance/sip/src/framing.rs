//! Streams to messages: Content-Length, keep-alives, bounds (RFC 3261 §18.3, RFC 5626 §3.5.1).

use crate::parse::{Limits, content_length};

/// What a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One message, for [`crate::parse::message`] with `Framing::Stream`.
    Message(Vec<u8>),
    /// A keep-alive to be answered with CRLF (RFC 5626 §4.4.1).
    Ping,
    /// The answer to a keep-alive, or a stray line end before a message.
    Pong,
}

/// A stream cannot be cut into messages any further; it has to be closed. What came out before
/// may still be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A head does not end where it should have.
    #[error("a head is larger than allowed")]
    HeadTooLarge,
    /// A body is larger than allowed.
    #[error("a message is larger than allowed")]
    MessageTooLarge,
    /// A Content-Length is malformed or there are two.
    #[error("the length of a message cannot be told")]
    Length,
}

/// Cuts one stream into messages. Holds no more than one message and what was pushed last.
#[derive(Debug)]
pub struct StreamFramer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that have been handed out.
    used: usize,
    /// Bytes behind `used` in which no head ends.
    scanned: usize,
    /// The whole length of the message at `used`, once its head is there.
    awaited: Option<usize>,
    failed: Option<FramingError>,
}

/// An idle stream keeps no larger buffer than this.
const IDLE_CAPACITY: usize = 1024;

impl StreamFramer {
    /// A framer for a new stream.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), used: 0, scanned: 0, awaited: None, failed: None }
    }

    /// Takes what was read. Take every frame out before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.drop_used();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more has to be read first.
    #[expect(clippy::should_implement_trait, reason = "a framer goes on after it gave None")]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.awaited.is_none()
            && let Some(keep_alive) = self.take_keep_alive()
        {
            return Ok(Some(keep_alive));
        }
        let length = match self.awaited {
            Some(length) => length,
            None => match self.find_length() {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(None),
                Err(frame) => return frame,
            },
        };
        if self.unread().len() < length {
            self.awaited = Some(length);
            return Ok(None);
        }
        Ok(Some(Frame::Message(self.take(length))))
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !matches!(self.unread(), [] | [b'\r'] | [b'\r', b'\n'])
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// The length of the message whose head is complete. What cannot be framed comes out as far
    /// as it goes, so that it is answered, and the next call tells the error.
    fn find_length(&mut self) -> Result<Option<usize>, Result<Option<Frame>, FramingError>> {
        let Some(head) = head_length(self.unread(), self.scanned) else {
            self.scanned = self.unread().len().saturating_sub(3);
            if self.unread().len() > self.limits.head_bytes {
                return Err(Err(self.fail(FramingError::HeadTooLarge)));
            }
            return Ok(None);
        };
        if head > self.limits.head_bytes {
            return Err(Err(self.fail(FramingError::HeadTooLarge)));
        }
        let error = match content_length(self.unread().get(..head).unwrap_or_default()) {
            Ok(body) => {
                let length = head.saturating_add(body.unwrap_or(0));
                if length <= self.limits.message_bytes {
                    return Ok(Some(length));
                }
                FramingError::MessageTooLarge
            }
            Err(()) => FramingError::Length,
        };
        let frame = Frame::Message(self.take(head));
        self.fail(error);
        Err(Ok(Some(frame)))
    }

    /// A single CRLF is an answer only when no second one follows, which the next byte tells.
    fn take_keep_alive(&mut self) -> Option<Frame> {
        let (length, frame) = match self.unread() {
            [b'\r', b'\n', b'\r', b'\n', ..] => (4, Frame::Ping),
            [b'\r', b'\n', b'\r'] | [b'\r', b'\n'] => return None,
            [b'\r', b'\n', ..] => (2, Frame::Pong),
            [b'\n', ..] => (1, Frame::Pong),
            _ => return None,
        };
        self.used += length;
        self.scanned = 0;
        Some(frame)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.awaited = None;
        self.scanned = 0;
        if self.used == 0 && self.buffer.len() == length {
            return std::mem::take(&mut self.buffer);
        }
        let message = self.unread().get(..length).unwrap_or_default().to_vec();
        self.used += message.len();
        self.drop_used_if_all();
        message
    }

    fn drop_used_if_all(&mut self) {
        if self.used == self.buffer.len() {
            self.used = 0;
            self.buffer.clear();
            self.buffer.shrink_to(IDLE_CAPACITY);
        }
    }

    fn drop_used(&mut self) {
        self.buffer.drain(..self.used.min(self.buffer.len()));
        self.used = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(IDLE_CAPACITY);
        }
    }

    fn fail(&mut self, error: FramingError) -> FramingError {
        self.failed = Some(error);
        self.buffer = Vec::new();
        self.used = 0;
        error
    }
}

/// The length of the head that `bytes` begin with, blank line included; `from` bytes of it are
/// known to hold no end.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let searched = bytes.get(from..)?;
    for end in memchr::memchr_iter(b'\n', searched) {
        match searched.get(end + 1..)? {
            [b'\n', ..] => return Some(from + end + 2),
            [b'\r', b'\n', ..] => return Some(from + end + 3),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
