//! Header values: one file a header, each with `parse` and `Display` (RFC 3261 §20, §25.1).
//!
//! Here is what they share: tokens, quoted strings, lists.

use std::borrow::Cow;

use crate::uri::UriError;

pub mod contact;
pub mod cseq;
pub mod entity_tag;
pub mod event;
pub mod expires;
pub mod max_forwards;
pub mod media_type;
pub mod name_addr;
pub mod options;
pub mod params;
pub mod retry_after;
pub mod subscription_state;
pub mod via;

/// A header value breaks its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no value where one must stand.
    #[error("the value is empty")]
    Empty,
    /// Characters stand where a token must.
    #[error("a token is malformed")]
    Token,
    /// A quoted string has no end.
    #[error("a quoted string does not end")]
    Quote,
    /// Angle brackets do not pair, or have something between or behind them that may not be.
    #[error("angle brackets do not match")]
    Bracket,
    /// A display name that is not quoted holds more than tokens.
    #[error("the display name must be quoted")]
    DisplayName,
    /// A parameter is malformed, or stands twice.
    #[error("a parameter is malformed")]
    Param,
    /// A number is malformed or out of range.
    #[error("a number is malformed or out of range")]
    Number,
    /// The protocol is not SIP/2.0.
    #[error("the protocol is not SIP/2.0")]
    Protocol,
    /// A host or port is malformed.
    #[error("a host or port is malformed")]
    Host,
    /// `*` stands beside other contacts.
    #[error("a star stands beside other contacts")]
    Star,
    /// A URI is malformed.
    #[error("a URI is malformed: {0}")]
    Uri(#[from] UriError),
}

/// Whether a byte may stand in a token (RFC 3261 §25.1).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether a text is a token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// White space inside a line.
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// The texts before and behind the first `mark`, which is ASCII. Short texts are searched quicker
/// so than by `str::split_once`.
pub(crate) fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|b| b == mark)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Splits behind the quoted string that `text` begins with; it has its quotes still.
pub(crate) fn split_quoted(text: &str) -> Result<(&str, &str), HeaderError> {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return text.split_at_checked(place + 1).ok_or(HeaderError::Quote),
            _ => {}
        }
    }
    Err(HeaderError::Quote)
}

/// The text without its quotes and escapes, if it has any.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            plain.extend(letters.next());
        } else {
            plain.push(letter);
        }
    }
    Cow::Owned(plain)
}

/// Writes a quoted string; line ends, which no quoting carries, become blanks.
pub(crate) fn write_quoted(text: &str, out: &mut impl std::fmt::Write) -> std::fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(letter)?;
            }
            '\r' | '\n' => out.write_char(' ')?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

/// The values of a comma-separated list, trimmed; commas in quotes and angle brackets part
/// nothing. Empty values are given too.
pub(crate) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (value, others) = match next_comma(text).and_then(|at| text.split_at_checked(at)) {
            Some((value, others)) => (value, others.get(1..)),
            None => (text, None),
        };
        rest = others;
        Some(value.trim_matches(is_blank))
    })
}

fn next_comma(text: &str) -> Option<usize> {
    memchr::memchr(b',', text.as_bytes())?;
    let (mut is_quoted, mut is_escaped, mut is_bracketed) = (false, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'<' => is_bracketed = true,
            b'>' => is_bracketed = false,
            b',' if !is_bracketed => return Some(place),
            _ => {}
        }
    }
    None
}

/// A decimal number that stays at `u32::MAX` when it is larger.
pub(crate) fn decimal(text: &str) -> Result<u32, HeaderError> {
    if text.is_empty() {
        return Err(HeaderError::Number);
    }
    text.bytes().try_fold(0_u32, |number, byte| {
        if !byte.is_ascii_digit() {
            return Err(HeaderError::Number);
        }
        Ok(number.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
    })
}
