//! The lines of a head: ends, folding, text (RFC 3261 §7.3.1).

use std::borrow::Cow;

use crate::header::is_token_byte;

/// The headers of a message, line by line, with continuations joined.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next header; `Some(None)` behind the blank line that ends the head, `None` when the
    /// bytes end before that.
    pub(crate) fn next_line(&mut self) -> Option<Option<Cow<'a, [u8]>>> {
        let (line, rest) = cut_line(self.rest)?;
        self.rest = rest;
        if line.is_empty() {
            return Some(None);
        }
        if !rest.first().is_some_and(|b| is_blank(*b)) {
            return Some(Some(Cow::Borrowed(line)));
        }
        let mut joined = trim_blanks_end(line).to_vec();
        while self.rest.first().is_some_and(|b| is_blank(*b)) {
            let (more, rest) = cut_line(self.rest)?;
            self.rest = rest;
            joined.push(b' ');
            joined.extend_from_slice(trim_blanks(more));
        }
        Some(Some(Cow::Owned(joined)))
    }

    /// What follows the lines read so far.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// The start line and the lines behind it.
pub(crate) fn start(bytes: &[u8]) -> Option<(&[u8], Lines<'_>)> {
    let (line, rest) = cut_line(skip_line_ends(bytes))?;
    Some((line, Lines { rest }))
}

/// The bytes without the line ends that they begin with (RFC 3261 §7.5).
pub(crate) fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn cut_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_blanks_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The bytes without blanks at either end.
pub(crate) fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_blanks_end(bytes);
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Bytes as text; Latin-1 when they are not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
    }
}

/// The value of Content-Length.
pub(crate) fn length(value: &str) -> Option<usize> {
    (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
        .then(|| value.parse().unwrap_or(usize::MAX))
}

/// The length of the body that a head announces: `Ok(None)` when it does not say, `Err` when it
/// cannot be told.
pub(crate) fn content_length(head: &[u8]) -> Result<Option<usize>, ()> {
    let Some((_, mut lines)) = start(head) else { return Err(()) };
    let mut found = None;
    while let Some(Some(line)) = lines.next_line() {
        let Some(colon) = memchr::memchr(b':', &line) else { continue };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii_end();
        if !(name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l"))
            || !name.iter().all(|b| is_token_byte(*b))
        {
            continue;
        }
        let value = text(trim_blanks(value.get(1..).unwrap_or_default()));
        let length = length(&value).ok_or(())?;
        if found.is_some_and(|other| other != length) {
            return Err(());
        }
        found = Some(length);
    }
    Ok(found)
}
