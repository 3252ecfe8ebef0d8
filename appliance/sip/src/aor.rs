//! Addresses of record in one canonical form (RFC 3261 §10.3 step 5, RFC 3859 §3, RFC 5630 §5.1).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use rsip::{Scheme, Uri};

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

impl Aor {
    /// The address of record that a URI means.
    pub fn from_uri(uri: &Uri) -> Result<Self, AorError> {
        match &uri.scheme {
            None | Some(Scheme::Sip | Scheme::Sips) => {}
            Some(Scheme::Other(name)) if matches!(&**name, "pres" | "im") => {}
            Some(Scheme::Other(_)) => return Err(AorError::Scheme),
        }
        let user = uri.user().filter(|user| !user.is_empty()).ok_or(AorError::NoUser)?;
        let host = uri::host(uri);
        let mut text = String::with_capacity(5 + user.len() + host.len());
        text.push_str("sip:");
        for byte in unescape(user).bytes() {
            // Escapes that are left stay, and the reserved characters that a user may hold.
            if is_unreserved(byte)
                || matches!(byte, b'%' | b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
            {
                text.push(char::from(byte));
            } else {
                escape(byte, &mut text);
            }
        }
        text.push('@');
        push_domain(&host, &mut text);
        Ok(Self(text.into()))
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

/// A root dot names the same domain; IPv6 addresses have many spellings.
fn push_domain(host: &str, out: &mut String) {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Some(Ok(address)) = address.map(Ipv6Addr::from_str) {
        out.push_str(&format!("[{address}]"));
        return;
    }
    let host = host.strip_suffix('.').filter(|h| !h.is_empty()).unwrap_or(host);
    out.extend(host.chars().map(|c| c.to_ascii_lowercase()));
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
