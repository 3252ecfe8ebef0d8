//! URIs: reading, writing and comparing (RFC 3261 §19.1, RFC 3966, RFC 3859, RFC 3860).
//!
//! A `rsip::Uri` holds every part as it was written, escapes included. Its conventions here: an
//! IPv6 host is `Host::Domain` with brackets; `headers` (what follows `?`) holds the characters of
//! the text; an unknown scheme's whole rest, or a telephone number, is the host.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use rsip::{Auth, Host, HostWithPort, Param, Port, Scheme, Uri};

use crate::flow::{Transport, UnknownTransport};
use crate::header::cut;
use crate::{message, write};

pub(crate) mod compare;

pub use compare::equivalent;

/// A URI breaks its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It has no scheme, or a malformed one.
    #[error("the scheme is missing or malformed")]
    Scheme,
    /// The user or password holds what it may not.
    #[error("the user part is malformed")]
    User,
    /// The host is missing or malformed.
    #[error("the host is missing or malformed")]
    Host,
    /// The port is malformed or out of range.
    #[error("the port is malformed")]
    Port,
    /// A parameter is malformed.
    #[error("a parameter is malformed")]
    Param,
    /// The headers are malformed, or what an unknown scheme says.
    #[error("a character may not stand in a URI")]
    Character,
}

/// Reads a URI.
pub fn parse(text: &str) -> Result<Uri, UriError> {
    let parts = split(text)?;
    let mut params = Vec::new();
    if !parts.params.is_empty() {
        params.extend(parts.params.split(';').map(build_param));
    }
    let host = match std::net::Ipv4Addr::from_str(parts.host) {
        Ok(address) => Host::IpAddr(address.into()),
        Err(_) => Host::Domain(parts.host.into()),
    };
    Ok(Uri {
        scheme: Some(build_scheme(parts.scheme)),
        auth: parts.user.map(|user| Auth {
            user: user.to_owned(),
            password: parts.password.map(str::to_owned),
        }),
        host_with_port: HostWithPort { host, port: parts.port.map(Port::from) },
        params,
        headers: parts.headers.chars().map(u32::from).collect(),
    })
}

/// Finds out whether [`parse`] would take a text, keeping nothing of it.
pub(crate) fn check(text: &str) -> Result<(), UriError> {
    split(text).map(|_| ())
}

/// Writes a URI.
pub fn write(uri: &Uri, out: &mut String) {
    out.push_str(scheme(uri));
    out.push(':');
    if let Some(auth) = &uri.auth {
        out.push_str(&auth.user);
        if let Some(password) = &auth.password {
            out.push(':');
            out.push_str(password);
        }
        out.push('@');
    }
    match &uri.host_with_port.host {
        Host::Domain(domain) => out.push_str(domain.value()),
        Host::IpAddr(address) if address.is_ipv4() => write::push_address(*address, out),
        Host::IpAddr(_) => out.push_str(&host(uri)),
    }
    if let Some(port) = port(uri) {
        out.push(':');
        write::push_decimal(port.into(), out);
    }
    for param in &uri.params {
        let (name, value) = name_and_value(param);
        out.push(';');
        out.push_str(name);
        if let Some(value) = value {
            out.push('=');
            out.push_str(value);
        }
    }
    if !uri.headers.is_empty() {
        out.push('?');
        out.extend(uri.headers.iter().filter_map(|c| char::from_u32(*c)));
    }
}

/// The text of a URI.
#[must_use]
pub fn to_string(uri: &Uri) -> String {
    let mut text = String::with_capacity(64);
    write(uri, &mut text);
    text
}

/// The scheme's name; `sip` when the URI was built without.
#[must_use]
pub fn scheme(uri: &Uri) -> &str {
    match &uri.scheme {
        None | Some(Scheme::Sip) => "sip",
        Some(Scheme::Sips) => "sips",
        Some(Scheme::Other(name)) => name,
    }
}

/// Whether the URI is `sip` or `sips`.
#[must_use]
pub fn is_sip(uri: &Uri) -> bool {
    matches!(uri.scheme, None | Some(Scheme::Sip | Scheme::Sips))
}

/// The host as text; an IPv6 address has its brackets.
#[must_use]
pub fn host(uri: &Uri) -> Cow<'_, str> {
    match &uri.host_with_port.host {
        Host::Domain(domain) => Cow::Borrowed(domain.value()),
        Host::IpAddr(address @ IpAddr::V4(_)) => {
            let mut text = String::with_capacity(15);
            write::push_address(*address, &mut text);
            Cow::Owned(text)
        }
        Host::IpAddr(IpAddr::V6(address)) => Cow::Owned(format!("[{address}]")),
    }
}

/// The address that the host is, if it is no name; one mapped into IPv6 counts as IPv4.
#[must_use]
pub fn address(uri: &Uri) -> Option<IpAddr> {
    match &uri.host_with_port.host {
        Host::IpAddr(address) => Some(address.to_canonical()),
        Host::Domain(domain) => host_address(domain.value()),
    }
}

/// The address that a host as it is written is, if it is no name; one mapped into IPv6 counts as
/// IPv4.
#[must_use]
pub fn host_address(host: &str) -> Option<IpAddr> {
    let may_be =
        host.bytes().next().is_some_and(|b| b == b'[' || b == b':' || b.is_ascii_hexdigit());
    let address = may_be.then(|| host.trim_matches(['[', ']']).parse::<IpAddr>().ok()).flatten()?;
    Some(address.to_canonical())
}

/// The port, if the URI names one.
#[must_use]
pub fn port(uri: &Uri) -> Option<u16> {
    uri.host_with_port.port.as_ref().map(|port| *port.value())
}

/// Host and port.
#[must_use]
pub fn host_port(uri: &Uri) -> (Cow<'_, str>, Option<u16>) {
    (host(uri), port(uri))
}

/// A parameter as written: `Some(None)` for a name alone.
#[must_use]
pub fn param<'a>(uri: &'a Uri, name: &str) -> Option<Option<&'a str>> {
    let found = uri.params.iter().map(name_and_value);
    found.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The `transport` parameter.
#[must_use]
pub fn transport(uri: &Uri) -> Option<Result<Transport, UnknownTransport>> {
    param(uri, "transport").map(|value| Transport::from_str(value.unwrap_or_default()))
}

/// What follows the question mark, if anything does.
#[must_use]
pub fn headers(uri: &Uri) -> Option<String> {
    if uri.headers.is_empty() {
        return None;
    }
    Some(uri.headers.iter().filter_map(|c| char::from_u32(*c)).collect())
}

/// Name and value of a parameter as it goes on the wire.
pub(crate) fn name_and_value(param: &Param) -> (&str, Option<&str>) {
    match param {
        Param::Transport(transport) => ("transport", Some(transport_token(*transport))),
        Param::User(user) => ("user", Some(user.value())),
        Param::Method(method) => ("method", Some(message::method(*method))),
        Param::Ttl(ttl) => ("ttl", Some(ttl.value())),
        Param::Maddr(address) => ("maddr", Some(address.value())),
        Param::Lr => ("lr", None),
        Param::Branch(branch) => ("branch", Some(branch.value())),
        Param::Received(received) => ("received", Some(received.value())),
        Param::Tag(tag) => ("tag", Some(tag.value())),
        Param::Expires(expires) => ("expires", Some(expires.value())),
        Param::Q(q) => ("q", Some(q.value())),
        Param::Other(name, value) => (name.value(), value.as_ref().map(|v| v.value())),
    }
}

const fn transport_token(transport: rsip::Transport) -> &'static str {
    match transport {
        rsip::Transport::Udp => "udp",
        rsip::Transport::Tcp => "tcp",
        rsip::Transport::Tls => "tls",
        rsip::Transport::TlsSctp => "tls-sctp",
        rsip::Transport::Sctp => "sctp",
        rsip::Transport::Ws => "ws",
        rsip::Transport::Wss => "wss",
    }
}

/// Typed only where the typed form writes back the same bytes.
fn build_param(text: &str) -> Param {
    let (name, value) = match cut(text, b'=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    match (name, value) {
        ("lr", None) => Param::Lr,
        ("transport", Some("udp")) => Param::Transport(rsip::Transport::Udp),
        ("transport", Some("tcp")) => Param::Transport(rsip::Transport::Tcp),
        ("transport", Some("tls")) => Param::Transport(rsip::Transport::Tls),
        ("transport", Some("sctp")) => Param::Transport(rsip::Transport::Sctp),
        ("transport", Some("ws")) => Param::Transport(rsip::Transport::Ws),
        ("transport", Some("wss")) => Param::Transport(rsip::Transport::Wss),
        ("user", Some(user)) => Param::User(user.into()),
        ("ttl", Some(ttl)) => Param::Ttl(ttl.into()),
        ("maddr", Some(address)) => Param::Maddr(address.into()),
        ("method", Some(name)) if message::method_named(name).is_some() => {
            message::method_named(name).map_or(Param::Lr, Param::Method)
        }
        (name, value) => Param::Other(name.into(), value.map(Into::into)),
    }
}

fn build_scheme(name: &str) -> Scheme {
    if name.eq_ignore_ascii_case("sip") {
        Scheme::Sip
    } else if name.eq_ignore_ascii_case("sips") {
        Scheme::Sips
    } else {
        Scheme::Other(name.to_ascii_lowercase())
    }
}

/// The parts of a URI in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) user: Option<&'a str>,
    password: Option<&'a str>,
    pub(crate) host: &'a str,
    port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

pub(crate) fn split(text: &str) -> Result<Parts<'_>, UriError> {
    let (scheme, rest) = cut(text, b':').ok_or(UriError::Scheme)?;
    let mut letters = scheme.bytes();
    if !letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        || !letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    {
        return Err(UriError::Scheme);
    }
    let names = |name: &str| scheme.eq_ignore_ascii_case(name);
    if names("sip") || names("sips") || names("pres") || names("im") {
        split_address(scheme, rest)
    } else if names("tel") {
        split_telephone(scheme, rest)
    } else if !rest.is_empty() && rest.bytes().all(is_visible) {
        let none = Parts {
            user: None,
            password: None,
            port: None,
            params: "",
            headers: "",
            scheme,
            host: rest,
        };
        Ok(none)
    } else {
        Err(UriError::Character)
    }
}

fn split_address<'a>(scheme: &'a str, rest: &'a str) -> Result<Parts<'a>, UriError> {
    let (user, password, rest) = match cut(rest, b'@') {
        None => (None, None, rest),
        Some((info, rest)) => {
            let (user, password) = match cut(info, b':') {
                Some((user, password)) => (user, Some(password)),
                None => (info, None),
            };
            if user.is_empty() || !is_user(user) || !password.is_none_or(is_user) {
                return Err(UriError::User);
            }
            (Some(user), password, rest)
        }
    };
    let (rest, headers) = cut(rest, b'?').unwrap_or((rest, ""));
    let (address, params) = cut(rest, b';').unwrap_or((rest, ""));
    if rest.len() > address.len() {
        check_params(params)?;
    }
    if !headers.bytes().all(is_visible) || !has_whole_escapes(headers) {
        return Err(UriError::Character);
    }
    if address.ends_with(is_space) || address.starts_with(is_space) {
        return Err(UriError::Host);
    }
    let (host, port) = split_host_port(address)?;
    Ok(Parts { scheme, user, password, host, port, params, headers })
}

/// RFC 3966 §3.
fn split_telephone<'a>(scheme: &'a str, rest: &'a str) -> Result<Parts<'a>, UriError> {
    let (number, params) = cut(rest, b';').unwrap_or((rest, ""));
    let is_number_byte = |b: u8| {
        b.is_ascii_hexdigit() || matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#')
    };
    if number.is_empty() || !number.bytes().all(is_number_byte) {
        return Err(UriError::User);
    }
    if rest.len() > number.len() {
        check_params(params)?;
    }
    Ok(Parts { scheme, user: None, password: None, host: number, port: None, params, headers: "" })
}

/// No URI has more parameters; comparing them takes the square of their number.
const MOST_PARAMS: usize = 64;

fn check_params(params: &str) -> Result<(), UriError> {
    for (place, param) in params.split(';').enumerate() {
        let name = cut(param, b'=').map_or(param, |(name, _)| name);
        if place >= MOST_PARAMS
            || name.is_empty()
            || !param.bytes().all(is_visible)
            || !has_whole_escapes(param)
        {
            return Err(UriError::Param);
        }
    }
    Ok(())
}

/// Host and port of a URI or a Via, in place; blanks may stand around both (RFC 3261 §25.1,
/// COLON).
pub(crate) fn split_host_port(text: &str) -> Result<(&str, Option<u16>), UriError> {
    let text = text.trim_matches(is_space);
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(UriError::Host)?;
        let (host, rest) = text.split_at_checked(end + 1).ok_or(UriError::Host)?;
        let address = host.get(1..end).unwrap_or_default();
        Ipv6Addr::from_str(address).map_err(|_| UriError::Host)?;
        let rest = rest.trim_start_matches(is_space);
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(UriError::Host),
        }
    } else {
        let (host, port) = match cut(text, b':') {
            Some((host, port)) => (host.trim_end_matches(is_space), Some(port)),
            None => (text, None),
        };
        if !host.bytes().any(|b| b.is_ascii_alphanumeric()) || !host.bytes().all(is_host_byte) {
            return Err(UriError::Host);
        }
        (host, port)
    };
    let Some(port) = port else { return Ok((host, None)) };
    let port = port.trim_start_matches(is_space);
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UriError::Port);
    }
    Ok((host, Some(port.parse().map_err(|_| UriError::Port)?)))
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Underscores are no part of host names, but of many networks.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

const fn is_visible(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b'"' | b'<' | b'>' | 0x7f)
}

/// What a user or password may hold; more than RFC 3261 §25.1 allows, as dial strings with `#`
/// and names that are not ASCII are met in the wild.
fn is_user(text: &str) -> bool {
    text.bytes().all(is_visible) && has_whole_escapes(text)
}

fn has_whole_escapes(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, behind)) = cut(rest, b'%') {
        let mut digits = behind.bytes();
        let is_digit = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
        if !is_digit(digits.next()) || !is_digit(digits.next()) {
            return false;
        }
        rest = behind;
    }
    true
}

#[cfg(test)]
mod tests;
