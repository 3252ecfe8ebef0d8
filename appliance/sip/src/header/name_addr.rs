//! Addresses with a display name and parameters: From, To, Contact, Route, Record-Route, Path
//! (RFC 3261 §20.10, §25.1).

use std::fmt;

use rsip::Uri;

use super::params::{Params, Scan};
use super::{HeaderError, cut, decimal, is_blank, split_quoted, unquote, write_quoted};
use crate::uri;

/// An address: `"display name" <uri>;params`, or `uri;params`.
#[derive(Debug, Clone, PartialEq)]
pub struct NameAddr {
    /// The display name, without quotes and escapes.
    pub display_name: Option<String>,
    /// The address itself.
    pub uri: Uri,
    /// The parameters of the header, not of the URI.
    pub params: Params,
}

impl NameAddr {
    /// An address without display name and parameters.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display_name: None, uri, params: Params::default() }
    }

    /// Reads one value.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let parts = split(text)?;
        let display_name = match parts.display_name {
            "" => None,
            name => Some(unquote(name).into_owned()),
        };
        check_params(parts.params)?;
        Ok(Self { display_name, uri: uri::parse(parts.uri)?, params: Params::parse(parts.params)? })
    }

    /// The tag of a From or To.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten()
    }

    /// The preference of a contact in thousandths; `None` when it is absent or malformed.
    #[must_use]
    pub fn q(&self) -> Option<u16> {
        parse_q(self.param("q")??)
    }

    /// The expiry of a contact in seconds; a malformed one counts as an hour (RFC 3261
    /// §10.2.1.1).
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        let value = self.param("expires")?;
        Some(value.and_then(|v| decimal(v).ok()).unwrap_or(3600))
    }

    /// A parameter of the header as written, quotes included: `Some(None)` for a name alone.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.get(name)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display_name {
            write_quoted(name, f)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>{}", uri::to_string(&self.uri), self.params)
    }
}

/// A q-value in thousandths (RFC 3261 §25.1): 0 to 1 with at most three places.
#[must_use]
pub fn parse_q(text: &str) -> Option<u16> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    if places.len() > 3 || (whole.is_empty() && places.is_empty()) {
        return None;
    }
    let mut thousandths = match whole {
        "" | "0" => 0,
        "1" => 1000,
        _ => return None,
    };
    for (place, weight) in places.bytes().zip([100, 10, 1]) {
        if !place.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(place - b'0') * weight;
    }
    (thousandths <= 1000).then_some(thousandths)
}

/// What a look at an address told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) has_tag: bool,
}

/// Finds out whether [`NameAddr::parse`] would take a value, keeping nothing of it.
pub(crate) fn check(text: &str) -> Result<Checked, HeaderError> {
    let parts = split(text)?;
    uri::check(parts.uri)?;
    check_params(parts.params)
}

/// The tag of a value that [`NameAddr::parse`] takes.
#[must_use]
pub fn tag_of(text: &str) -> Option<&str> {
    Scan::new(split(text).ok()?.params)
        .map_while(Result::ok)
        .find(|(name, _)| name.eq_ignore_ascii_case("tag"))?
        .1
}

/// The URI of a value, whose parameters are looked at no closer.
pub(crate) fn uri_of(text: &str) -> Result<&str, HeaderError> {
    split(text).map(|parts| parts.uri)
}

/// A tag stands once and is not empty.
fn check_params(params: &str) -> Result<Checked, HeaderError> {
    let mut has_tag = false;
    for param in Scan::new(params) {
        let (name, value) = param?;
        if name.eq_ignore_ascii_case("tag") {
            if has_tag || value.is_none_or(str::is_empty) {
                return Err(HeaderError::Param);
            }
            has_tag = true;
        }
    }
    Ok(Checked { has_tag })
}

struct Parts<'a> {
    display_name: &'a str,
    uri: &'a str,
    params: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, HeaderError> {
    let text = text.trim_matches(is_blank);
    let (display_name, address) = if text.starts_with('"') {
        let (name, rest) = split_quoted(text)?;
        let rest = rest.trim_start_matches(is_blank);
        (name, rest.strip_prefix('<').ok_or(HeaderError::Bracket)?)
    } else if let Some((name, address)) = cut(text, b'<') {
        let name = name.trim_end_matches(is_blank);
        if !name.bytes().all(is_name_byte) {
            return Err(HeaderError::DisplayName);
        }
        (name, address)
    } else {
        return split_bare(text);
    };
    let (uri, params) = cut(address, b'>').ok_or(HeaderError::Bracket)?;
    Ok(Parts { display_name, uri, params })
}

/// RFC 3261 wants tokens; what cannot part anything is taken too, as many peers do not quote.
const fn is_name_byte(byte: u8) -> bool {
    !matches!(byte, 0..=8 | 10..=31 | 0x7f | b'"' | b',' | b';' | b'<' | b'>' | b'\\')
}

/// An address without brackets: the parameters are the header's, and what a URI could not say
/// without brackets may not stand in it (RFC 3261 §20.10).
fn split_bare(text: &str) -> Result<Parts<'_>, HeaderError> {
    if text.is_empty() {
        return Err(HeaderError::Empty);
    }
    let end = text.find(';').unwrap_or(text.len());
    let (uri, params) = text.split_at_checked(end).ok_or(HeaderError::Bracket)?;
    let uri = uri.trim_end_matches(is_blank);
    if uri.contains(['?', ',']) {
        return Err(HeaderError::Bracket);
    }
    Ok(Parts { display_name: "", uri, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_hold_anything() {
        let value = r#""A, <b> \"c\" \\" <sip:a;x=y@b.test;lr>;tag=1;+sip.instance="<urn:uuid:0>""#;
        let address = NameAddr::parse(value).unwrap();
        assert_eq!(address.display_name.as_deref(), Some(r#"A, <b> "c" \"#));
        assert_eq!(address.uri.user(), Some("a;x=y"));
        assert_eq!(address.tag(), Some("1"));
        assert_eq!(tag_of(value), Some("1"));
        assert_eq!(address.params.text("+sip.instance").as_deref(), Some("<urn:uuid:0>"));
        assert_eq!(address.to_string(), value);
    }

    #[test]
    fn without_brackets_parameters_are_the_headers() {
        let address = NameAddr::parse("sip:caller@example.test ; tag = 88 ; expires=60").unwrap();
        assert_eq!(uri::to_string(&address.uri), "sip:caller@example.test");
        assert_eq!((address.tag(), address.expires()), (Some("88"), Some(60)));
        assert_eq!(address.to_string(), "<sip:caller@example.test>;tag=88;expires=60");
    }

    #[test]
    fn malformed_addresses_are_refused_by_both_ways() {
        for text in [
            "",
            "\"Mr. J. User <sip:j.user@example.test>",
            "Bell, Alexander <sip:a.g.bell@example.test>;tag=43",
            "\"Watson, Thomas\" < sip:t.watson@example.test >",
            "<sip:a@b.test",
            "<sip:a@b.test>>",
            "<sip:a@b.test>tag=1",
            "sip:a@b.test?Route=%3Csip:c.test%3E",
            "<sip:a@b.test>;tag=",
            "<sip:a@b.test>;tag",
            "<sip:a@b.test>, <sip:c@d.test>",
            "\"x\" sip:a@b.test",
            "<>",
        ] {
            assert!(NameAddr::parse(text).is_err(), "{text}");
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn q_counts_thousandths() {
        for (text, q) in [("0", 0), ("1", 1000), ("0.5", 500), (".25", 250), ("1.000", 1000)] {
            assert_eq!(parse_q(text), Some(q), "{text}");
        }
        for text in ["", ".", "2", "1.1", "0.1234", "-1", "0.x"] {
            assert_eq!(parse_q(text), None, "{text}");
        }
    }
}
