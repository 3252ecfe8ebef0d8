//! Why a request is refused, by meaning; the one place that turns meaning into a status.

use std::time::Duration;

use sip::message::{HeaderAccess, Request, Response, response_to};

/// A refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Nobody has proved who asks (RFC 8760). `proxy` when the request was to be passed on.
    Unauthenticated {
        /// The challenges, most preferred first.
        challenges: Vec<String>,
        /// 407 instead of 401.
        proxy: bool,
    },
    /// Too many wrong answers came from this address.
    Penalty,
    /// Who asks may not do this.
    Forbidden(&'static str),
    /// There is no such user here.
    NotFound,
    /// The user exists but has no device that could take it.
    NobodyThere,
    /// The request breaks the grammar or lacks a header.
    Malformed(&'static str),
    /// The document was refused whole.
    BadDocument(String),
    /// The method does not fit the target.
    MethodNotAllowed,
    /// Option tags that must be understood and are not (RFC 3261 §8.2.2.3).
    UnknownExtensions(Vec<String>),
    /// An option tag that the sender must support and does not name (RFC 4662 §4.1).
    ExtensionRequired(&'static str),
    /// No media type that the sender takes can be given.
    NotAcceptable,
    /// The body's type is none that we take.
    UnsupportedMediaType,
    /// The body's type is none of the package's.
    UnsupportedStateType(&'static str),
    /// The body's encoding is none that we take.
    UnsupportedEncoding,
    /// The R-URI's scheme is none that we serve.
    UnsupportedScheme,
    /// The event package is none of ours (RFC 6665 §4.2.1.1).
    UnknownEventPackage,
    /// The expiry is below the least (RFC 3261 §10.2.8, RFC 3903 §6, RFC 6665 §4.2.1.1).
    IntervalTooBrief,
    /// No publication has this entity-tag (RFC 3903 §6).
    UnknownEntityTag,
    /// There is no such dialog or transaction.
    UnknownDialog,
    /// The same request came by another way (RFC 3261 §8.2.2.2).
    Merged,
    /// Max-Forwards has run out.
    TooManyHops,
    /// A CSeq did not rise.
    OutOfOrder,
    /// A limit is reached for now.
    Overloaded(Duration),
    /// A limit of this user is reached.
    LimitReached(&'static str),
    /// The body is larger than we take.
    TooLarge,
}

/// Facts that headers of refusals need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// For Min-Expires.
    pub(crate) min_expires: Duration,
}

/// Methods we take, for Allow.
pub(crate) const ALLOW: &str = "REGISTER, PUBLISH, SUBSCRIBE, NOTIFY, OPTIONS, MESSAGE, INVITE, ACK, \
                         CANCEL, BYE, INFO, UPDATE, PRACK, REFER";
/// Event packages we serve, for Allow-Events.
pub(crate) const ALLOW_EVENTS: &str = "presence, presence.winfo, dialog, message-summary, reg";
/// Media types of documents we take and give.
pub(crate) const PIDF: &str = "application/pidf+xml";

impl Rejection {
    /// The answer to `request` with this meaning.
    #[must_use]
    pub(crate) fn response(&self, request: &Request, to_tag: &str, terms: Terms) -> Response {
        let status = self.status();
        let reason: Option<&str> = match self {
            Self::Malformed(reason) | Self::Forbidden(reason) | Self::LimitReached(reason) => {
                Some(reason)
            }
            Self::BadDocument(reason) => Some(reason),
            _ => None,
        };
        let mut response = response_to(request, status, reason, Some(to_tag));
        let headers = &mut response.headers;
        match self {
            Self::Unauthenticated { challenges, proxy } => {
                let name = if *proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
                for challenge in challenges {
                    headers.append(name, challenge);
                }
            }
            Self::MethodNotAllowed => headers.append("Allow", ALLOW),
            Self::UnknownExtensions(tags) => headers.append("Unsupported", &tags.join(", ")),
            Self::ExtensionRequired(tag) => headers.append("Require", tag),
            Self::UnsupportedMediaType => headers.append("Accept", PIDF),
            Self::UnsupportedStateType(media) => headers.append("Accept", media),
            Self::UnsupportedEncoding => headers.append("Accept-Encoding", "identity"),
            Self::UnknownEventPackage => headers.append("Allow-Events", ALLOW_EVENTS),
            Self::IntervalTooBrief => {
                headers.append("Min-Expires", &terms.min_expires.as_secs().to_string());
            }
            Self::Penalty => headers.append("Retry-After", "5"),
            Self::Overloaded(pause) => {
                headers.append("Retry-After", &pause.as_secs().max(1).to_string());
            }
            _ => {}
        }
        response
    }

    /// The status code of this meaning.
    #[must_use]
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::BadDocument(_) => 400,
            Self::Unauthenticated { proxy: false, .. } => 401,
            Self::Forbidden(_) | Self::LimitReached(_) => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::Unauthenticated { proxy: true, .. } => 407,
            Self::UnknownEntityTag => 412,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType
            | Self::UnsupportedStateType(_)
            | Self::UnsupportedEncoding => 415,
            Self::UnsupportedScheme => 416,
            Self::UnknownExtensions(_) => 420,
            Self::ExtensionRequired(_) => 421,
            Self::IntervalTooBrief => 423,
            Self::NobodyThere => 480,
            Self::UnknownDialog => 481,
            Self::Merged => 482,
            Self::TooManyHops => 483,
            Self::UnknownEventPackage => 489,
            Self::OutOfOrder => 500,
            Self::Penalty | Self::Overloaded(_) => 503,
        }
    }
}
