//! Cuts a byte stream into lines, bounded.

use zeroize::{Zeroize, Zeroizing};

/// The longest line, its line feed included.
pub const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// A line is longer than [`MAX_LINE_BYTES`]; the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {MAX_LINE_BYTES} bytes")]
pub struct LineTooLong;

/// Collects bytes as they arrive and gives whole lines. Lines may hold passwords: what was
/// collected is wiped when it is given away or dropped.
#[derive(Default)]
pub struct LineFramer {
    buffer: Vec<u8>,
    /// How many bytes of `buffer` are known to hold no line feed.
    scanned: usize,
}

impl LineFramer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were read. Take all lines out before adding more: the buffer then never
    /// grows beyond one line and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its line end.
    ///
    /// # Errors
    /// [`LineTooLong`] when the line is, or is going to be, too long; it stays so.
    pub fn next_line(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, LineTooLong> {
        let unscanned = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = unscanned.iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.buffer.len();
            return if self.buffer.len() >= MAX_LINE_BYTES { Err(LineTooLong) } else { Ok(None) };
        };
        let end = self.scanned + offset;
        if end >= MAX_LINE_BYTES {
            return Err(LineTooLong);
        }
        let rest = self.buffer.split_off(end + 1);
        let mut line = Zeroizing::new(std::mem::replace(&mut self.buffer, rest));
        self.scanned = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Whether a line has begun that is not whole yet.
    #[must_use]
    pub fn is_mid_line(&self) -> bool {
        !self.buffer.is_empty()
    }
}

impl Drop for LineFramer {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl std::fmt::Debug for LineFramer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineFramer").field("buffered_bytes", &self.buffer.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{LineFramer, LineTooLong, MAX_LINE_BYTES};

    fn lines(framer: &mut LineFramer) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = framer.next_line().unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        lines
    }

    #[test]
    fn lines_come_whole_however_the_bytes_arrive() {
        let stream = b"one\ntwo\r\n\nthree\n";
        for cut in 0..=stream.len() {
            let mut framer = LineFramer::new();
            let (head, tail) = stream.split_at(cut);
            framer.push(head);
            let mut got = lines(&mut framer);
            framer.push(tail);
            got.extend(lines(&mut framer));
            assert_eq!(got, ["one", "two", "", "three"], "cut at {cut}");
            assert!(!framer.is_mid_line());
        }
    }

    #[test]
    fn a_line_of_the_longest_length_passes_and_one_byte_more_does_not() {
        let mut framer = LineFramer::new();
        framer.push(&vec![b'x'; MAX_LINE_BYTES - 1]);
        assert_eq!(framer.next_line(), Ok(None));
        framer.push(b"\n");
        assert_eq!(framer.next_line().unwrap().unwrap().len(), MAX_LINE_BYTES - 1);

        let mut framer = LineFramer::new();
        framer.push(&vec![b'x'; MAX_LINE_BYTES]);
        assert_eq!(framer.next_line(), Err(LineTooLong));
        framer.push(b"\n");
        assert_eq!(framer.next_line(), Err(LineTooLong));
    }
}
