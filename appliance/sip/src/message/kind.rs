//! Header names: rsip's variants, their spelling on the wire, and compact forms (RFC 3261 §7.3.3).

use rsip::Header;
use rsip::headers::UntypedHeader;

macro_rules! kinds {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A header that rsip has a variant for, or that the parser treats in a special way.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($variant,)*
            Path,
        }

        impl Kind {
            /// The header of this kind with a value.
            pub(crate) fn build(self, value: String) -> Header {
                match self {
                    $(Self::$variant => Header::$variant(value.into()),)*
                    Self::Path => Header::Other("Path".to_owned(), value),
                }
            }

            /// The full name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Path => "Path",
                }
            }
        }

        /// The full name of a header.
        #[must_use]
        #[inline]
        pub fn header_name(header: &Header) -> &str {
            match header {
                $(Header::$variant(_) => $name,)*
                Header::Other(name, _) => name,
            }
        }

        /// The value of a header.
        #[must_use]
        #[inline]
        pub fn header_value(header: &Header) -> &str {
            match header {
                $(Header::$variant(header) => header.value(),)*
                Header::Other(_, value) => value,
            }
        }
    };
}

kinds! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CSeq = "CSeq",
    CallId = "Call-ID",
    CallInfo = "Call-Info",
    Contact = "Contact",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    Date = "Date",
    ErrorInfo = "Error-Info",
    Event = "Event",
    Expires = "Expires",
    From = "From",
    InReplyTo = "In-Reply-To",
    MaxForwards = "Max-Forwards",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    Organization = "Organization",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RecordRoute = "Record-Route",
    ReplyTo = "Reply-To",
    Require = "Require",
    RetryAfter = "Retry-After",
    Route = "Route",
    Server = "Server",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Supported = "Supported",
    Timestamp = "Timestamp",
    To = "To",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

impl Kind {
    /// The kind of header that has this name, full or compact, in any case.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let candidates: &[Self] = match name.len() {
            1 => return Self::of_compact(name.first()?.to_ascii_lowercase()),
            2 => &[Self::To],
            3 => &[Self::Via],
            4 => &[Self::From, Self::CSeq, Self::Path, Self::Date],
            5 => &[Self::Event, Self::Route, Self::Allow],
            6 => &[Self::Accept, Self::Server],
            7 => &[
                Self::CallId,
                Self::Contact,
                Self::Expires,
                Self::Require,
                Self::Subject,
                Self::Warning,
            ],
            8 => &[Self::Priority, Self::ReplyTo],
            9 => &[Self::Supported, Self::Timestamp, Self::CallInfo],
            10 => &[Self::UserAgent, Self::AlertInfo, Self::ErrorInfo],
            11 => &[Self::RetryAfter, Self::MinExpires, Self::InReplyTo, Self::Unsupported],
            12 => &[
                Self::MaxForwards,
                Self::ContentType,
                Self::RecordRoute,
                Self::MimeVersion,
                Self::Organization,
            ],
            13 => &[Self::Authorization, Self::ProxyRequire],
            14 => &[Self::ContentLength],
            15 => &[Self::AcceptEncoding, Self::AcceptLanguage],
            16 => &[Self::WwwAuthenticate, Self::ContentEncoding, Self::ContentLanguage],
            18 => &[Self::SubscriptionState, Self::ProxyAuthenticate],
            19 => &[Self::ProxyAuthorization, Self::ContentDisposition, Self::AuthenticationInfo],
            _ => &[],
        };
        let first = name.first()?.to_ascii_uppercase();
        candidates.iter().copied().find(|kind| {
            let own = kind.name().as_bytes();
            own.first() == Some(&first) && (own == name || own.eq_ignore_ascii_case(name))
        })
    }

    fn of_compact(letter: u8) -> Option<Self> {
        Some(match letter {
            b'v' => Self::Via,
            b'f' => Self::From,
            b't' => Self::To,
            b'i' => Self::CallId,
            b'm' => Self::Contact,
            b'l' => Self::ContentLength,
            b'c' => Self::ContentType,
            b'o' => Self::Event,
            b's' => Self::Subject,
            b'k' => Self::Supported,
            b'e' => Self::ContentEncoding,
            _ => return None,
        })
    }

    /// The full name that a compact one stands for, for headers that rsip has no variant for.
    pub(crate) fn expand(name: &str) -> Option<&'static str> {
        let mut letters = name.bytes();
        let (Some(letter), None) = (letters.next(), letters.next()) else { return None };
        Some(match letter.to_ascii_lowercase() {
            b'a' => "Accept-Contact",
            b'b' => "Referred-By",
            b'd' => "Request-Disposition",
            b'j' => "Reject-Contact",
            b'n' => "Identity-Info",
            b'r' => "Refer-To",
            b'u' => "Allow-Events",
            b'x' => "Session-Expires",
            b'y' => "Identity",
            _ => return None,
        })
    }

    /// The bit of this kind in a set of kinds.
    pub(crate) const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// A header by its name, full or compact, in any case.
#[must_use]
pub fn header(name: &str, value: String) -> Header {
    match Kind::of(name.as_bytes()) {
        Some(kind) => kind.build(value),
        None => Header::Other(Kind::expand(name).unwrap_or(name).to_owned(), value),
    }
}
