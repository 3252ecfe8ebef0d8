//! Via: the way that a request came (RFC 3261 §20.42, RFC 3581).

use std::fmt;
use std::net::IpAddr;

use super::params::{Params, Scan};
use super::{HeaderError, cut, is_blank, is_token_byte, unquote};
use crate::{uri, write};

/// One hop of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The transport as written, which may be one that we do not speak.
    pub transport: String,
    /// The host of sent-by; an IPv6 address has its brackets.
    pub host: String,
    /// The port of sent-by, if it names one.
    pub port: Option<u16>,
    /// What names the transaction.
    pub branch: Option<String>,
    /// Where the request came from, if it was not sent-by.
    pub received: Option<IpAddr>,
    /// `Some(None)` asks for the answer to go to the port that the request came from;
    /// `Some(Some(port))` says which that was (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// The other parameters.
    pub params: Params,
}

impl Via {
    /// Reads one value. A branch stands once and is not empty; what `received` and `rport` say is
    /// left out where it is no address or port.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let parts = split(text)?;
        let mut via = Self {
            transport: parts.transport.to_owned(),
            host: parts.host.to_owned(),
            port: parts.port,
            branch: None,
            received: None,
            rport: None,
            params: Params::default(),
        };
        for param in Scan::new(parts.params) {
            let (name, value) = param?;
            if name.eq_ignore_ascii_case("branch") {
                let branch = value.filter(|branch| !branch.is_empty() && via.branch.is_none());
                via.branch = Some(branch.ok_or(HeaderError::Param)?.to_owned());
            } else if name.eq_ignore_ascii_case("received") {
                via.received = value.and_then(|address| {
                    let address = unquote(address);
                    address.trim_start_matches('[').trim_end_matches(']').parse().ok()
                });
            } else if name.eq_ignore_ascii_case("rport") {
                via.rport = Some(value.and_then(|port| port.parse().ok()));
            } else {
                via.params.push(name, value);
            }
        }
        Ok(via)
    }

    /// The address of sent-by, if it is one and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl Via {
    /// The value as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(128);
        for part in ["SIP/2.0/", &self.transport, " ", &self.host] {
            text.push_str(part);
        }
        if let Some(port) = self.port {
            text.push(':');
            write::push_decimal(port.into(), &mut text);
        }
        if let Some(branch) = &self.branch {
            text.push_str(";branch=");
            text.push_str(branch);
        }
        if let Some(address) = self.received {
            text.push_str(";received=");
            write::push_address(address, &mut text);
        }
        if let Some(port) = self.rport {
            text.push_str(";rport");
            if let Some(port) = port {
                text.push('=');
                write::push_decimal(port.into(), &mut text);
            }
        }
        text.push_str(self.params.as_str());
        text
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Finds out whether [`Via::parse`] would take a value, keeping nothing of it.
pub(crate) fn check(text: &str) -> Result<(), HeaderError> {
    let mut has_branch = false;
    for param in Scan::new(split(text)?.params) {
        let (name, value) = param?;
        if name.eq_ignore_ascii_case("branch") {
            if has_branch || value.is_none_or(str::is_empty) {
                return Err(HeaderError::Param);
            }
            has_branch = true;
        }
    }
    Ok(())
}

struct Parts<'a> {
    transport: &'a str,
    host: &'a str,
    port: Option<u16>,
    params: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, HeaderError> {
    let (protocol, rest) = cut(text, b'/').ok_or(HeaderError::Protocol)?;
    let (version, rest) = cut(rest, b'/').ok_or(HeaderError::Protocol)?;
    if !protocol.trim_matches(is_blank).eq_ignore_ascii_case("SIP")
        || version.trim_matches(is_blank) != "2.0"
    {
        return Err(HeaderError::Protocol);
    }
    let rest = rest.trim_start_matches(is_blank);
    let end = rest.bytes().position(|b| !is_token_byte(b)).ok_or(HeaderError::Host)?;
    let (transport, rest) = rest.split_at_checked(end).ok_or(HeaderError::Token)?;
    if transport.is_empty() || !rest.starts_with(is_blank) {
        return Err(HeaderError::Token);
    }
    let end = rest.find(';').unwrap_or(rest.len());
    let (sent_by, params) = rest.split_at_checked(end).ok_or(HeaderError::Host)?;
    let (host, port) = uri::split_host_port(sent_by).map_err(|_| HeaderError::Host)?;
    Ok(Parts { transport, host, port, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_may_stand_around_every_separator() {
        let via = Via::parse("SIP  / 2.0\t/TCP  spindle.example.test  : 5062 ; branch = z9hG4bK1")
            .unwrap();
        assert_eq!(
            (&*via.transport, &*via.host, via.port),
            ("TCP", "spindle.example.test", Some(5062))
        );
        assert_eq!(via.branch.as_deref(), Some("z9hG4bK1"));
        assert_eq!(via.to_string(), "SIP/2.0/TCP spindle.example.test:5062;branch=z9hG4bK1");
    }

    #[test]
    fn received_may_be_ipv6_with_or_without_brackets() {
        for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
            let via = Via::parse(&format!(
                "SIP/2.0/UDP [2001:db8::9:1]:5060;received={received};branch=z9hG4bKa;rport=9;ttl=1"
            ))
            .unwrap();
            assert_eq!(via.received, "2001:db8::9:255".parse().ok());
            assert_eq!(via.address(), "2001:db8::9:1".parse().ok());
            assert_eq!(via.rport, Some(Some(9)));
            assert_eq!(
                via.to_string(),
                "SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKa;received=2001:db8::9:255;rport=9;ttl=1"
            );
        }
    }

    #[test]
    fn malformed_values_are_refused_by_both_ways() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 UDP host.test",
            "SIP/7.0/UDP host.test",
            "HTTP/2.0/UDP host.test",
            "SIP/2.0/UDP host.test;;",
            "SIP/2.0/UDP host.test;branch=",
            "SIP/2.0/UDP host.test;branch",
            "SIP/2.0/UDP host.test:99999",
            "SIP/2.0/UDP host.test:",
            "SIP/2.0/UDP [2001:db8::1",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP ho st.test",
        ] {
            assert!(Via::parse(text).is_err(), "{text}");
            assert!(check(text).is_err(), "{text}");
        }
    }
}
