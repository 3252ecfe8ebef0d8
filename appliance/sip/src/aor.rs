//! Addresses of record in one canonical form (RFC 3261 §10.3 step 5, RFC 3859 §3, RFC 5630 §5.1).

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use rsip::{Scheme, Uri};

use crate::header::name_addr;
use crate::uri;
use crate::uri::compare::{escape, is_unreserved, unescape};

/// An address of record: `sip:user@domain` with the domain in lower case, escapes only where
/// there must be one, and neither password, port, parameters nor headers. A `sips`, `pres` or
/// `im` URI names the same as the `sip` one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor(Arc<str>);

/// A URI that cannot be an address of record here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AorError {
    /// It is no URI.
    #[error("not an address: {0}")]
    Uri(#[from] uri::UriError),
    /// It has a scheme that names no user of SIP.
    #[error("only sip, sips, pres and im addresses name a user")]
    Scheme,
    /// It names a host, not a user.
    #[error("the address has no user part")]
    NoUser,
}

/// User and domain of an address of record in their canonical form, to look somebody up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<'a> {
    /// The user part, with its escapes.
    pub user: Cow<'a, str>,
    /// The domain, in lower case.
    pub domain: Cow<'a, str>,
}

impl<'a> Named<'a> {
    /// Whom a URI names.
    pub fn by_uri(uri: &'a Uri) -> Result<Self, AorError> {
        match &uri.scheme {
            None | Some(Scheme::Sip | Scheme::Sips) => {}
            Some(Scheme::Other(name)) if is_presence_scheme(name) => {}
            Some(Scheme::Other(_)) => return Err(AorError::Scheme),
        }
        let user = uri.user().filter(|user| !user.is_empty()).ok_or(AorError::NoUser)?;
        let domain = match uri::host(uri) {
            Cow::Borrowed(host) => canonical_domain(host),
            Cow::Owned(address) => Cow::Owned(address),
        };
        Ok(Self { user: canonical_user(user), domain })
    }

    /// Whom a From, To or P-Asserted-Identity header names.
    pub fn by_header(value: &'a str) -> Result<Self, AorError> {
        let text = name_addr::uri_of(value).map_err(|_| AorError::Uri(uri::UriError::Character))?;
        let parts = uri::split(text)?;
        let is_sip = ["sip", "sips"].iter().any(|name| parts.scheme.eq_ignore_ascii_case(name));
        if !is_sip && !is_presence_scheme(&parts.scheme.to_ascii_lowercase()) {
            return Err(AorError::Scheme);
        }
        let user = parts.user.filter(|user| !user.is_empty()).ok_or(AorError::NoUser)?;
        Ok(Self { user: canonical_user(user), domain: canonical_domain(parts.host) })
    }

    /// The whole address of record.
    #[must_use]
    pub fn aor(&self) -> Aor {
        let mut text = String::with_capacity(5 + self.user.len() + self.domain.len());
        for part in ["sip:", &self.user, "@", &self.domain] {
            text.push_str(part);
        }
        Aor(text.into())
    }
}

fn is_presence_scheme(name: &str) -> bool {
    matches!(name, "pres" | "im")
}

impl Aor {
    /// The address of record that a URI means.
    pub fn from_uri(uri: &Uri) -> Result<Self, AorError> {
        Named::by_uri(uri).map(|named| named.aor())
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user part, with its escapes.
    #[must_use]
    pub fn user(&self) -> &str {
        self.parts().0
    }

    /// The domain, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.get(4..).and_then(|address| address.split_once('@')).unwrap_or_default()
    }
}

/// Escapes that are left stay, and the reserved characters that a user may hold.
fn canonical_user(user: &str) -> Cow<'_, str> {
    let may_stand = |byte| {
        is_unreserved(byte) || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
    };
    if user.bytes().all(may_stand) {
        return Cow::Borrowed(user);
    }
    let mut text = String::with_capacity(user.len() + 8);
    for byte in unescape(user).bytes() {
        if byte == b'%' || may_stand(byte) {
            text.push(char::from(byte));
        } else {
            escape(byte, &mut text);
        }
    }
    Cow::Owned(text)
}

/// A root dot names the same domain; IPv6 addresses have many spellings.
fn canonical_domain(host: &str) -> Cow<'_, str> {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Some(Ok(address)) = address.map(Ipv6Addr::from_str) {
        return Cow::Owned(format!("[{address}]"));
    }
    let host = host.strip_suffix('.').filter(|h| !h.is_empty()).unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

impl FromStr for Aor {
    type Err = AorError;

    fn from_str(text: &str) -> Result<Self, AorError> {
        Self::from_uri(&uri::parse(text)?)
    }
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> String {
        Aor::from_str(text).unwrap().to_string()
    }

    #[test]
    fn one_form_for_all_spellings() {
        for text in [
            "sip:alice@example.test",
            "SIPS:alice@EXAMPLE.test:5061;transport=tls",
            "sip:%61lice:secret@example.test.;user=phone?Subject=x",
            "pres:alice@Example.Test",
            "im:alice@example.test",
        ] {
            assert_eq!(aor(text), "sip:alice@example.test", "{text}");
        }
    }

    #[test]
    fn a_header_names_whom_its_uri_names() {
        for value in [
            "sip:Alice@EXAMPLE.test;tag=1",
            "\"A\" <sips:Al%69ce@example.test.:5061>;tag=1",
            "<PRES:alice@[2001:DB8:0::1]>",
            "<im:a@192.0.2.1;x=y>",
            "<tel:+1555>",
            "<sip:example.test>",
            "sip",
        ] {
            let parsed = name_addr::NameAddr::parse(value).ok();
            let expected = parsed.and_then(|address| Aor::from_uri(&address.uri).ok());
            assert_eq!(Named::by_header(value).ok().map(|named| named.aor()), expected, "{value}");
        }
    }

    #[test]
    fn users_keep_their_case_and_what_must_be_escaped() {
        assert_eq!(aor("sip:J.Doe;x=y@b.test"), "sip:J.Doe;x=y@b.test");
        assert_eq!(aor("sip:a%3bb@b.test"), "sip:a%3Bb@b.test");
        assert_eq!(aor("sip:null-%00-null@b.test"), "sip:null-%00-null@b.test");
        assert_eq!(aor("sip:*72#@b.test"), "sip:*72%23@b.test");
        assert_eq!(aor("sip:j\u{f6}@b.test"), "sip:j%C3%B6@b.test");
        assert_eq!(aor("sip:a@[2001:DB8:0::1]:5060"), "sip:a@[2001:db8::1]");
        let aor = Aor::from_str("sip:alice@example.test").unwrap();
        assert_eq!((aor.user(), aor.domain()), ("alice", "example.test"));
    }

    #[test]
    fn what_names_no_user_is_refused() {
        assert_eq!(Aor::from_str("tel:+15550100"), Err(AorError::Scheme));
        assert_eq!(Aor::from_str("sip:example.test"), Err(AorError::NoUser));
        assert!(matches!(Aor::from_str("alice"), Err(AorError::Uri(_))));
    }
}
