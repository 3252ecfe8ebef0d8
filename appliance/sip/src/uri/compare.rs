//! When two URIs are the same (RFC 3261 §19.1.4).

use std::borrow::Cow;

use rsip::Uri;

use super::{headers, host, is_sip, name_and_value, param, port, scheme, to_string};

/// Whether two URIs are equivalent.
#[must_use]
pub fn equivalent(a: &Uri, b: &Uri) -> bool {
    if scheme(a) != scheme(b) {
        return false;
    }
    if scheme(a) == "tel" {
        return same_number(a, b) && same_params(a, b, &["phone-context", "ext", "isub"]);
    }
    if !is_sip(a) && !matches!(scheme(a), "pres" | "im") {
        return to_string(a) == to_string(b);
    }
    same_escaped(a.user(), b.user())
        && same_escaped(password(a), password(b))
        && host(a).eq_ignore_ascii_case(&host(b))
        && port(a) == port(b)
        && same_params(a, b, &["user", "ttl", "method", "maddr", "transport"])
        && same_headers(a, b)
}

fn password(uri: &Uri) -> Option<&str> {
    uri.auth.as_ref()?.password.as_deref()
}

fn same_escaped(a: Option<&str>, b: Option<&str>) -> bool {
    a.map(unescape) == b.map(unescape)
}

/// Parameters in both must agree; those that `alone` names must not stand in one only. Of a
/// repeated parameter the first counts.
fn same_params(a: &Uri, b: &Uri, alone: &[&str]) -> bool {
    let agrees = |here: &Uri, there: &Uri| {
        here.params.iter().map(|one| name_and_value(one).0).all(|name| {
            match (param(here, name).flatten(), param(there, name)) {
                (_, None) => !alone.iter().any(|n| n.eq_ignore_ascii_case(name)),
                (Some(a), Some(Some(b))) => unescape(a).eq_ignore_ascii_case(&unescape(b)),
                (a, Some(b)) => a.is_none() && b.is_none(),
            }
        })
    };
    agrees(a, b) && agrees(b, a)
}

fn same_headers(a: &Uri, b: &Uri) -> bool {
    let sorted = |uri| {
        let text: String = headers(uri).unwrap_or_default();
        let mut all: Vec<(String, String)> = text
            .split('&')
            .filter(|header| !header.is_empty())
            .map(|header| header.split_once('=').unwrap_or((header, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), unescape(value).into_owned()))
            .collect();
        all.sort_unstable();
        all
    };
    sorted(a) == sorted(b)
}

/// RFC 3966 §4: what only parts digits for the eye does not matter.
fn same_number(a: &Uri, b: &Uri) -> bool {
    let digits = |uri| -> String {
        let number = host(uri);
        number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
    };
    digits(a).eq_ignore_ascii_case(&digits(b))
}

/// The text with every escape undone that need not be one; the others with capital digits.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        plain.push_str(before);
        let digits = behind.get(..2).and_then(|d| u8::from_str_radix(d, 16).ok());
        match digits {
            Some(byte) if is_unreserved(byte) => plain.push(char::from(byte)),
            Some(byte) => escape(byte, &mut plain),
            None => {
                plain.push('%');
                rest = behind;
                continue;
            }
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Writes a byte as an escape.
pub(crate) fn escape(byte: u8, out: &mut String) {
    let digit =
        |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 });
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

/// RFC 3261 §25.1, unreserved.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}
