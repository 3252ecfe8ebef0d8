//! The Request-Line: method, Request-URI, version (RFC 3261 §7.1).

use rsip::{Method, Uri};

use super::{Limits, ParseFailure, Problem};
use crate::header::{is_blank, is_token};
use crate::message;
use crate::uri::{self, UriError};

/// What a Request-Line says, each part with its own fault.
pub(super) struct StartLine<'a> {
    pub(super) method_name: &'a str,
    pub(super) method: Option<Method>,
    pub(super) uri: Result<Uri, Problem>,
    pub(super) version: Result<(), Problem>,
}

impl<'a> StartLine<'a> {
    pub(super) fn read(line: &'a str, limits: &Limits) -> Result<Self, ParseFailure> {
        const NOT_SIP: ParseFailure = ParseFailure::Drop("not SIP");
        let trimmed = line.trim_end_matches(is_blank);
        let (method_name, rest) = trimmed.split_once(' ').ok_or(NOT_SIP)?;
        let (target, version) = rest.rsplit_once(' ').ok_or(NOT_SIP)?;
        let number = version
            .split_at_checked(4)
            .filter(|(name, _)| name.eq_ignore_ascii_case("SIP/"))
            .map(|(_, number)| number)
            .ok_or(NOT_SIP)?;
        let has_problem = |reason| Err(Problem::bad(reason));
        let version = if !is_version(number) {
            has_problem("Malformed Version")
        } else if number != "2.0" {
            Err(Problem::of(505))
        } else if trimmed.len() < line.len() || target.contains(is_blank) {
            has_problem("Blank in Request Line")
        } else if !is_token(method_name) {
            has_problem("Malformed Method")
        } else {
            Ok(())
        };
        let uri = if target.len() > limits.request_uri_bytes {
            Err(Problem::of(414))
        } else {
            request_uri(target)
        };
        Ok(Self { method_name, method: message::method_named(method_name), uri, version })
    }
}

fn is_version(number: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    number.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// A Request-URI of a scheme that SIP can route, without headers (RFC 3261 §19.1.1).
fn request_uri(text: &str) -> Result<Uri, Problem> {
    let uri = uri::parse(text).map_err(|error| match error {
        UriError::Scheme => Problem::bad("Malformed Request-URI Scheme"),
        UriError::User => Problem::bad("Malformed User in Request-URI"),
        UriError::Host | UriError::Port => Problem::bad("Malformed Host in Request-URI"),
        UriError::Param => Problem::bad("Malformed Parameter in Request-URI"),
        UriError::Character => Problem::bad("Malformed Request-URI"),
    })?;
    if !matches!(uri::scheme(&uri), "sip" | "sips" | "tel" | "pres" | "im") {
        return Err(Problem::of(416));
    }
    if !uri.headers.is_empty() {
        return Err(Problem::bad("Headers in Request-URI"));
    }
    Ok(uri)
}
