//! What goes wrong with a directory, and what to do about it.

use std::error::Error as _;
use std::fmt;

use ldap3::{LdapError, LdapResult};

/// Result codes of LDAP (RFC 4511 §4.1.9, RFC 4533 §2.5) that mean something of their own here.
mod code {
    pub(super) const TIME_LIMIT: u32 = 3;
    pub(super) const SIZE_LIMIT: u32 = 4;
    pub(super) const STRONGER_AUTH: u32 = 8;
    pub(super) const REFERRAL: u32 = 10;
    pub(super) const ADMIN_LIMIT: u32 = 11;
    pub(super) const CONFIDENTIALITY: u32 = 13;
    pub(super) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(super) const UNDEFINED_TYPE: u32 = 17;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
    pub(super) const INVALID_DN: u32 = 34;
    pub(super) const INAPPROPRIATE_AUTH: u32 = 48;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const INSUFFICIENT_ACCESS: u32 = 50;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
    pub(super) const REFRESH_REQUIRED: u32 = 4096;
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The settings lack something.
    Settings,
    /// The server's name is not found, or the server does not answer or answers too late.
    Unreachable,
    /// The server is not who it should be, or speaks no TLS that we do.
    Certificate,
    /// The account or its password is wrong.
    Credentials,
    /// The base, or another entry, is not there.
    Base,
    /// The filter cannot be read.
    Filter,
    /// An attribute is not what it should be.
    Attribute,
    /// The server stopped before the end: size or time limit, or it is busy.
    Incomplete,
    /// The server says that somebody else has the answer.
    Referral,
    /// The server wants everything to be read anew (RFC 4533 §2.5).
    StartAnew,
    /// The server does not allow it.
    Denied,
    /// What the server says cannot be read.
    Malformed,
    /// Anything else that the server refuses.
    Refused,
}

/// What is wrong, where, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing.
    pub kind: FailureKind,
    /// In words for an administrator.
    pub what: String,
    /// The server, the setting, the entry.
    pub place: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure in words.
    pub fn new(kind: FailureKind, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), place: place.into() }
    }

    /// What an administrator does next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self.kind {
            FailureKind::Settings => "complete the settings: \"show ldap\" shows them",
            FailureKind::Unreachable => {
                "check the server's name and port, and the network: \"utils network connect\""
            }
            FailureKind::Certificate => {
                "give the certificate of the server or of its authority with \"set ldap NAME trust\", \
                 or its fingerprint with \"set ldap NAME pin\", and name the server as its \
                 certificate does"
            }
            FailureKind::Credentials => {
                "check the account and its password: \"set ldap NAME bind-dn DN password\""
            }
            FailureKind::Base => "check the base: \"set ldap NAME base DN\"",
            FailureKind::Filter => "check the filter: \"set ldap NAME filter FILTER\"",
            FailureKind::Attribute => {
                "check the attribute map: \"set ldap NAME attributes FIELD=ATTRIBUTE\""
            }
            FailureKind::Incomplete => {
                "raise the server's limits for this account, or narrow base and filter"
            }
            FailureKind::Referral => "name the server that has the entries",
            FailureKind::StartAnew => "have everything read: \"utils ldap sync NAME full\"",
            FailureKind::Denied => "give the account the right to read below the base",
            FailureKind::Malformed => {
                "check whether it is an LDAP server; record the exchange with \"utils network capture\""
            }
            FailureKind::Refused => "see the server's log",
        }
    }

    /// Whether another server of the same directory may do better.
    #[must_use]
    pub const fn is_of_one_server(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Unreachable | FailureKind::Certificate | FailureKind::Malformed
        )
    }

    /// What an answer of the server means that is no success.
    pub(crate) fn of_result(place: &str, result: &LdapResult) -> Self {
        let said = if result.text.is_empty() {
            String::new()
        } else {
            format!(" (the server says: {})", printable(&result.text))
        };
        let (kind, what) = match result.rc {
            code::TIME_LIMIT => (FailureKind::Incomplete, "it takes too long for the server"),
            code::SIZE_LIMIT => {
                (FailureKind::Incomplete, "the server returns fewer entries than there are")
            }
            code::ADMIN_LIMIT => (FailureKind::Incomplete, "a limit of the server is exceeded"),
            code::BUSY | code::UNAVAILABLE => (FailureKind::Unreachable, "the server is busy"),
            code::STRONGER_AUTH | code::CONFIDENTIALITY => {
                (FailureKind::Denied, "the server wants TLS: \"set ldap NAME security starttls\"")
            }
            code::REFERRAL => {
                let elsewhere = result.refs.first().map_or("another server", String::as_str);
                let what = format!("the entries are elsewhere: {}", printable(elsewhere));
                return Self::new(FailureKind::Referral, place, what);
            }
            code::NO_SUCH_ATTRIBUTE | code::UNDEFINED_TYPE => {
                (FailureKind::Attribute, "there is no such attribute")
            }
            code::NO_SUCH_OBJECT => (FailureKind::Base, "there is no such entry"),
            code::INVALID_DN => (FailureKind::Base, "this is no distinguished name"),
            code::INVALID_CREDENTIALS | code::INAPPROPRIATE_AUTH => {
                (FailureKind::Credentials, "the account or its password is wrong")
            }
            code::INSUFFICIENT_ACCESS => (FailureKind::Denied, "the account may not read this"),
            code::REFRESH_REQUIRED => (FailureKind::StartAnew, "the server wants to start anew"),
            other => {
                let what = format!("the server refuses with result {other}{said}");
                return Self::new(FailureKind::Refused, place, what);
            }
        };
        Self::new(kind, place, format!("{what}{said}"))
    }

    /// What an error of the library means.
    pub(crate) fn of_error(place: &str, error: &LdapError) -> Self {
        let (kind, what) = match error {
            LdapError::LdapResult { result } => return Self::of_result(place, result),
            LdapError::Timeout { .. } => {
                (FailureKind::Unreachable, "the server does not answer in time".to_owned())
            }
            LdapError::FilterParsing => {
                (FailureKind::Filter, "the filter is not one (RFC 4515)".to_owned())
            }
            LdapError::Rustls { source } => (FailureKind::Certificate, source.to_string()),
            LdapError::Io { source } => {
                let is_tls = source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
                let kind = if is_tls { FailureKind::Certificate } else { FailureKind::Unreachable };
                (kind, source.to_string())
            }
            LdapError::ResultRecv { .. }
            | LdapError::OpSend { .. }
            | LdapError::IdScrubSend { .. }
            | LdapError::MiscSend { .. }
            | LdapError::EndOfStream => {
                (FailureKind::Unreachable, "the server has closed the connection".to_owned())
            }
            other => (FailureKind::Refused, joined(other)),
        };
        Self::new(kind, place, what)
    }
}

fn joined(error: &LdapError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What a server says, on one line and not too long.
fn printable(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
