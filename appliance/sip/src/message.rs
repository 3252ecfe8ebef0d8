//! The message model: rsip's types as values, with names, status codes and answers of our own
//! (RFC 3261 §7, §8.2.6).
//!
//! Header values are reached through [`HeaderAccess`]. A status code whose reason phrase is not
//! the registered one is a `StatusCode::Other`, so compare codes by `code()`, never by variant.

use std::borrow::Cow;

pub use rsip::{
    Auth, Header, Headers, Host, HostWithPort, Method, Param, Port, Request, Response, Scheme,
    StatusCode, Uri, Version,
};

use crate::header::name_addr;

mod kind;
mod reason;

pub(crate) use kind::Kind;
pub use kind::{header, header_name, header_value};
pub use reason::reason_phrase;

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The headers of either.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }
}

/// Headers by their full names, in any case; compact names are expanded when a message is parsed.
///
/// Content-Length is never among them: the body knows its length and the writer tells it.
pub trait HeaderAccess {
    /// The first value of `name`.
    fn value(&self, name: &str) -> Option<&str>;
    /// Every value of `name`, in order.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str>;
    /// Every name and value, in order.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)>;
    /// Calls `visit` with every value of `name`, in order.
    fn for_each(&self, name: &str, visit: impl FnMut(&str));
    /// Whether there is such a header.
    fn has(&self, name: &str) -> bool;
    /// Adds a header behind all others.
    fn append(&mut self, name: &str, value: &str);
    /// Adds a header before all others.
    fn prepend(&mut self, name: &str, value: &str);
    /// Gives `name` one value, where its first was; appended when it had none.
    fn set(&mut self, name: &str, value: &str);
    /// Takes away the first header `name`.
    fn remove_first(&mut self, name: &str) -> Option<String>;
    /// Takes away every header `name`.
    fn remove_all(&mut self, name: &str);
}

impl HeaderAccess for Headers {
    fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|h| header_name(h).eq_ignore_ascii_case(name)).map(header_value)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |h| header_name(h).eq_ignore_ascii_case(name)).map(header_value)
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|h| (header_name(h), header_value(h)))
    }

    fn for_each(&self, name: &str, visit: impl FnMut(&str)) {
        self.values(name).for_each(visit);
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn append(&mut self, name: &str, value: &str) {
        self.push(header(name, value.to_owned()));
    }

    fn prepend(&mut self, name: &str, value: &str) {
        let mut all: Vec<Header> = std::mem::take(self).into();
        all.insert(0, header(name, value.to_owned()));
        *self = all.into();
    }

    fn set(&mut self, name: &str, value: &str) {
        let mut is_set = false;
        let new = header(name, value.to_owned());
        let mut all: Vec<Header> = std::mem::take(self).into();
        all.retain_mut(|h| {
            if !header_name(h).eq_ignore_ascii_case(name) {
                return true;
            }
            if is_set {
                return false;
            }
            is_set = true;
            *h = new.clone();
            true
        });
        if !is_set {
            all.push(new);
        }
        *self = all.into();
    }

    fn remove_first(&mut self, name: &str) -> Option<String> {
        self.value(name)?;
        let mut all: Vec<Header> = std::mem::take(self).into();
        let found = all.iter().position(|h| header_name(h).eq_ignore_ascii_case(name));
        let removed = found.map(|place| header_value(&all.remove(place)).to_owned());
        *self = all.into();
        removed
    }

    fn remove_all(&mut self, name: &str) {
        self.retain(|h| !header_name(h).eq_ignore_ascii_case(name));
    }
}

/// The name of a method as it stands on the wire.
#[must_use]
pub const fn method(method: Method) -> &'static str {
    match method {
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Info => "INFO",
        Method::Invite => "INVITE",
        Method::Message => "MESSAGE",
        Method::Notify => "NOTIFY",
        Method::Options => "OPTIONS",
        Method::PRack => "PRACK",
        Method::Publish => "PUBLISH",
        Method::Refer => "REFER",
        Method::Register => "REGISTER",
        Method::Subscribe => "SUBSCRIBE",
        Method::Update => "UPDATE",
    }
}

/// The method of that name; names are case-sensitive (RFC 3261 §7.1).
#[must_use]
pub fn method_named(name: &str) -> Option<Method> {
    Some(match name {
        "ACK" => Method::Ack,
        "BYE" => Method::Bye,
        "CANCEL" => Method::Cancel,
        "INFO" => Method::Info,
        "INVITE" => Method::Invite,
        "MESSAGE" => Method::Message,
        "NOTIFY" => Method::Notify,
        "OPTIONS" => Method::Options,
        "PRACK" => Method::PRack,
        "PUBLISH" => Method::Publish,
        "REFER" => Method::Refer,
        "REGISTER" => Method::Register,
        "SUBSCRIBE" => Method::Subscribe,
        "UPDATE" => Method::Update,
        _ => return None,
    })
}

/// A status code with its registered reason phrase or with another.
#[must_use]
pub fn status_code(status: u16, reason: Option<&str>) -> StatusCode {
    let registered = reason_phrase(status);
    match (StatusCode::from(status), reason) {
        (StatusCode::Other(..), reason) => {
            StatusCode::Other(status, reason.unwrap_or(registered).to_owned())
        }
        (_, Some(reason)) if reason != registered => StatusCode::Other(status, reason.to_owned()),
        (known, _) => known,
    }
}

/// The reason phrase that a status code goes out with.
#[must_use]
pub fn reason_of(status: &StatusCode) -> &str {
    match status {
        StatusCode::Other(_, reason) => reason,
        known => reason_phrase(known.code()),
    }
}

/// An answer to be written straight from its request; see [`response_to`].
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The status code, with its registered reason.
    pub status: u16,
    /// The tag for a To that has none.
    pub to_tag: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// What the answering program calls itself.
    pub server: &'a str,
}

/// The answer to a request: its Via headers, From, To (with `to_tag` when it has none), Call-ID
/// and CSeq, and for 100 its Timestamp (RFC 3261 §8.2.6). Record-Route is left to who makes a
/// dialog of it.
#[must_use]
pub fn response_to(
    request: &Request,
    status: u16,
    reason: Option<&str>,
    to_tag: Option<&str>,
) -> Response {
    answer(&request.headers, status, reason, to_tag)
}

/// [`response_to`] for a request of which only the headers could be read.
pub(crate) fn answer(
    headers: &Headers,
    status: u16,
    reason: Option<&str>,
    to_tag: Option<&str>,
) -> Response {
    let mut copied = Vec::with_capacity(12);
    for header in headers.iter() {
        match header {
            Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => {
                copied.push(header.clone());
            }
            Header::Timestamp(_) if status == 100 => copied.push(header.clone()),
            Header::To(_) => {
                let value = with_tag(header_value(header), to_tag);
                copied.push(Kind::To.build(value.into_owned()));
            }
            _ => {}
        }
    }
    Response {
        status_code: status_code(status, reason),
        version: Version::V2,
        headers: copied.into(),
        body: Vec::new(),
    }
}

fn with_tag<'a>(to: &'a str, tag: Option<&str>) -> Cow<'a, str> {
    match (tag, name_addr::check(to)) {
        (Some(tag), Ok(checked)) if !checked.has_tag => Cow::Owned(format!("{to};tag={tag}")),
        _ => Cow::Borrowed(to),
    }
}

#[cfg(test)]
mod tests;
