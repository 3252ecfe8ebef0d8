//! The few spans of a response that the hot path needs, without building a message: the answers
//! to NOTIFY. What is folded, compact or odd gives `None`, and the full parser has its turn.

use crate::header::retry_after as delay;

/// What tells the client transaction of a response, and its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseScan<'a> {
    /// The status code.
    pub status: u16,
    /// The branch of the top Via.
    pub branch: &'a [u8],
}

/// Looks at a response as far as its top Via. Allocates nothing.
#[must_use]
pub fn response(bytes: &[u8]) -> Option<ResponseScan<'_>> {
    let (status, mut rest) = status_line(bytes)?;
    while let Some((line, others)) = next_line(rest) {
        rest = others;
        match line {
            [b'V' | b'v', b'i' | b'I', b'a' | b'A', b':', value @ ..] => {
                let is_folded = rest.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
                let branch = top_branch(value)?;
                return (!is_folded).then_some(ResponseScan { status, branch });
            }
            // The end of the head, folded, a compact name, or a blank before the colon.
            []
            | [b' ' | b'\t', ..]
            | [b'V' | b'v', b':' | b' ' | b'\t', ..]
            | [b'V' | b'v', b'i' | b'I', b'a' | b'A', b' ' | b'\t', ..] => return None,
            _ => {}
        }
    }
    None
}

/// The seconds of a message's Retry-After, if it has a plain one.
#[must_use]
pub fn retry_after(bytes: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"retry-after:";
    let mut rest = bytes;
    while let Some((line, others)) = next_line(rest) {
        if line.is_empty() {
            return None;
        }
        rest = others;
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            return delay::parse(std::str::from_utf8(value).ok()?).ok();
        }
    }
    None
}

fn status_line(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (line, rest) = next_line(bytes)?;
    let [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] =
        line.strip_prefix(b"SIP/2.0 ")?
    else {
        return None;
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    matches!(after.first(), None | Some(b' ')).then_some((status, rest))
}

fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// The branch of the first value of a Via header.
fn top_branch(value: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"branch=";
    let end = memchr::memchr2(b',', b'"', value).unwrap_or(value.len());
    let (top, behind) = value.split_at_checked(end)?;
    if behind.first() == Some(&b'"') {
        return None;
    }
    let mut rest = top;
    loop {
        let at = memchr::memchr(b';', rest)?;
        rest = rest.get(at + 1..)?;
        if let Some((name, value)) = rest.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            let end = memchr::memchr3(b';', b' ', b'\t', value).unwrap_or(value.len());
            let branch = value.get(..end)?;
            return (!branch.is_empty() && branch.is_ascii()).then_some(branch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;rport=5060;branch=z9hG4bK77;received=192.0.2.1\r\n\
        Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother\r\n\
        From: <sip:a@b.test>;tag=1\r\nTo: <sip:c@d.test>;tag=2\r\nCall-ID: x\r\n\
        CSeq: 42 NOTIFY\r\nRetry-After: 17;duration=3\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn the_top_via_is_found() {
        let found = response(OK).unwrap();
        assert_eq!(found, ResponseScan { status: 200, branch: b"z9hG4bK77" });
        assert_eq!(retry_after(OK), Some(17));
    }

    #[test]
    fn odd_responses_are_left_to_the_parser() {
        let text = std::str::from_utf8(OK).unwrap();
        for (from, to) in [
            ("Via: SIP/2.0/UDP 192.0.2.1", "v: SIP/2.0/UDP 192.0.2.1"),
            ("Via: SIP/2.0/UDP 192.0.2.1", "Via : SIP/2.0/UDP 192.0.2.1"),
            (";rport=5060;branch", "\r\n ;rport=5060;branch"),
            ("branch=z9hG4bK77", "branch="),
            ("branch=z9hG4bK77", "branch=z9hG4bK\u{e9}"),
            (";rport=5060;branch=z9hG4bK77", ";x=\";branch=evil\";branch=z9hG4bK77"),
            ("SIP/2.0 200", "SIP/2.0 2000"),
            ("SIP/2.0 200", "SIP/2.0 700"),
            ("SIP/2.0 200 OK", "OPTIONS sip:a@b.test SIP/2.0"),
            ("Via: SIP/2.0/UDP 192.0.2.1", "\r\nVia: SIP/2.0/UDP 192.0.2.1"),
        ] {
            let odd = text.replacen(from, to, 1);
            assert_ne!(odd, text);
            assert_eq!(response(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(response(b""), None);
    }
}
