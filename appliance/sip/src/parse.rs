//! Bytes to messages: a tolerant front end that builds rsip's values (RFC 3261 §7, §25).
//!
//! It takes LF for CRLF, blank lines before a message, folded headers, compact names and blanks
//! before the colon; a header that is not UTF-8 is read as Latin-1. It refuses what could mean two
//! things: repeated single headers, lengths that do not fit, addresses out of grammar. What can be
//! answered comes back as the answer.

use md5::{Digest, Md5};
use rsip::{Header, Headers, Request, Response, Version};

use crate::header::{cseq, is_blank, is_token_byte, max_forwards, name_addr, split_list, via};
use crate::message::{self, Kind, Message, status_code};

mod lines;
mod start_line;

pub(crate) use lines::{Lines, content_length};
use start_line::StartLine;

/// What a message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole message; more is answered 413.
    pub message_bytes: usize,
    /// Bytes of start line and headers together, on streams.
    pub head_bytes: usize,
    /// Bytes of one header with its continuations.
    pub header_line_bytes: usize,
    /// Headers, after lists are parted.
    pub header_count: usize,
    /// Via headers, after lists are parted.
    pub via_count: usize,
    /// Bytes of a Request-URI; more is answered 414.
    pub request_uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 128 * 1024,
            head_bytes: 48 * 1024,
            header_line_bytes: 8 * 1024,
            header_count: 256,
            via_count: 72,
            request_uri_bytes: 4 * 1024,
        }
    }
}

/// How the end of a message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By the datagram or WebSocket message; Content-Length may shorten it.
    Datagram,
    /// By Content-Length alone.
    Stream,
}

/// Why there is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseFailure {
    /// The sender can be told; the answer goes back to where the request came from.
    Answer(Box<Response>),
    /// Nobody can be told.
    Drop(&'static str),
}

/// What is wrong with a request, as its answer will say.
#[derive(Debug, Clone, Copy)]
struct Problem {
    status: u16,
    reason: Option<&'static str>,
}

impl Problem {
    const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason: Some(reason) }
    }

    const fn of(status: u16) -> Self {
        Self { status, reason: None }
    }
}

/// Reads one message. A request that comes out has a top Via, From, To, Call-ID and CSeq that
/// their types read, a CSeq that names its method, and a valid Max-Forwards if it has one; of a
/// response the same holds.
pub fn message(bytes: &[u8], framing: Framing, limits: &Limits) -> Result<Message, ParseFailure> {
    let (line, lines) = lines::start(bytes).ok_or(ParseFailure::Drop("no start line"))?;
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        return response(line, lines, bytes.len(), framing, limits).map(Message::Response);
    }
    request(line, lines, bytes.len(), framing, limits).map(Message::Request)
}

fn response(
    line: &[u8],
    lines: Lines<'_>,
    length: usize,
    framing: Framing,
    limits: &Limits,
) -> Result<Response, ParseFailure> {
    if memchr::memchr(b'\r', line).is_some() {
        return Err(ParseFailure::Drop("stray CR in the status line"));
    }
    let line = lines::text(line);
    let (version, rest) =
        line.split_once(' ').ok_or(ParseFailure::Drop("malformed status line"))?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(ParseFailure::Drop("response of another version"));
    }
    let code = (code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()))
        .then(|| code.parse::<u16>().ok())
        .flatten()
        .filter(|code| (100..700).contains(code))
        .ok_or(ParseFailure::Drop("malformed status code"))?;
    let fields = Fields::read(lines, length, framing, limits, None)
        .ok_or(ParseFailure::Drop("a head without an end"))?;
    if let Some(problem) = fields.problem {
        return Err(ParseFailure::Drop(problem.reason.unwrap_or("response too large")));
    }
    Ok(Response {
        status_code: status_code(code, Some(reason)),
        version: Version::V2,
        headers: fields.headers.into(),
        body: fields.body.to_vec(),
    })
}

fn request(
    line: &[u8],
    lines: Lines<'_>,
    length: usize,
    framing: Framing,
    limits: &Limits,
) -> Result<Request, ParseFailure> {
    let line = lines::text(line);
    let start = StartLine::read(&line, limits)?;
    let fields = Fields::read(lines, length, framing, limits, Some(start.method_name))
        .ok_or(ParseFailure::Drop("a head without an end"))?;
    let problem = match start.version {
        Err(problem) if problem.status == 505 => Some(problem),
        version => version.err().or(fields.problem),
    };
    match (problem, start.method, start.uri) {
        (None, Some(method), Ok(uri)) => Ok(Request {
            method,
            uri,
            version: Version::V2,
            headers: fields.headers.into(),
            body: fields.body.to_vec(),
        }),
        (None, None, _) => Err(refuse(Problem::of(501), start.method_name, fields.headers)),
        (None, _, Err(problem)) | (Some(problem), ..) => {
            Err(refuse(problem, start.method_name, fields.headers))
        }
    }
}

/// The answer to a request that is refused. An ACK gets none (RFC 3261 §17.2.1), nor does a
/// request that does not say where it came from.
fn refuse(problem: Problem, method: &str, headers: Vec<Header>) -> ParseFailure {
    if method == "ACK" {
        return ParseFailure::Drop(problem.reason.unwrap_or("an ACK that cannot be served"));
    }
    if !headers.iter().any(|h| matches!(h, Header::Via(_))) {
        return ParseFailure::Drop("a request without a Via");
    }
    let headers = Headers::from(headers);
    let tag = stateless_tag(&headers);
    let answer = message::answer(&headers, problem.status, problem.reason, Some(&tag));
    ParseFailure::Answer(Box::new(answer))
}

/// The same request gets the same tag whenever it comes (RFC 3261 §8.2.7).
fn stateless_tag(headers: &Headers) -> String {
    let mut hash = Md5::new();
    for header in headers.iter() {
        if matches!(header, Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_))
        {
            hash.update(message::header_value(header));
            hash.update([0]);
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Headers and body, with the first problem met on the way.
struct Fields<'a> {
    headers: Vec<Header>,
    body: &'a [u8],
    problem: Option<Problem>,
    seen: u64,
    vias: usize,
    content_length: Option<usize>,
}

impl<'a> Fields<'a> {
    /// `None` when the head has no end. `method` is the request's, for CSeq to name.
    fn read(
        mut lines: Lines<'a>,
        length: usize,
        framing: Framing,
        limits: &Limits,
        method: Option<&str>,
    ) -> Option<Self> {
        let mut fields = Self {
            headers: Vec::with_capacity(16),
            body: &[],
            problem: None,
            seen: 0,
            vias: 0,
            content_length: None,
        };
        while let Some(line) = lines.next_line()? {
            if let Err(problem) = fields.read_line(&line, limits, method) {
                fields.problem = fields.problem.or(Some(problem));
            }
        }
        fields.cut_body(lines.rest(), length, framing, limits);
        fields.check_presence();
        Some(fields)
    }

    fn read_line(
        &mut self,
        line: &[u8],
        limits: &Limits,
        method: Option<&str>,
    ) -> Result<(), Problem> {
        if line.len() > limits.header_line_bytes {
            return Err(Problem::bad("Header Too Long"));
        }
        if self.headers.len() >= limits.header_count {
            return Err(Problem::bad("Too Many Headers"));
        }
        let colon = memchr::memchr(b':', line).ok_or(Problem::bad("Header Without Colon"))?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii_end();
        let kind = Kind::of(name);
        if kind.is_none() && (name.is_empty() || !name.iter().all(|b| is_token_byte(*b))) {
            return Err(Problem::bad("Malformed Header Name"));
        }
        let value = lines::trim_blanks(value.get(1..).unwrap_or_default());
        if memchr::memchr(b'\r', value).is_some() {
            return Err(Problem::bad("Stray CR in Header"));
        }
        let value = lines::text(value);
        let Some(kind) = kind else {
            let name = lines::text(name);
            let name = Kind::expand(&name).unwrap_or(&name).to_owned();
            self.headers.push(Header::Other(name, value.into_owned()));
            return Ok(());
        };
        let is_first = self.seen & kind.bit() == 0;
        self.seen |= kind.bit();
        if kind == Kind::ContentLength {
            return self.read_content_length(&value, is_first);
        }
        if !is_first && let Some(problem) = repeated(kind) {
            return Err(problem);
        }
        let checked = check(kind, &value, is_first, method);
        if kind == Kind::Via {
            self.vias += 1;
        }
        match kind {
            Kind::Via | Kind::Route | Kind::RecordRoute | Kind::Contact | Kind::Path
                if memchr::memchr(b',', value.as_bytes()).is_some() =>
            {
                self.push_list(kind, &value, limits)?;
            }
            _ => self.headers.push(kind.build(value.into_owned())),
        }
        if self.vias > limits.via_count {
            return Err(Problem::bad("Too Many Via Headers"));
        }
        checked
    }

    fn push_list(&mut self, kind: Kind, value: &str, limits: &Limits) -> Result<(), Problem> {
        if split_list(value).any(str::is_empty) {
            self.headers.push(kind.build(value.to_owned()));
            return Err(Problem::bad("Empty Value in Header List"));
        }
        for (place, one) in split_list(value).enumerate() {
            if self.headers.len() >= limits.header_count {
                return Err(Problem::bad("Too Many Headers"));
            }
            if kind == Kind::Via && place > 0 {
                self.vias += 1;
            }
            self.headers.push(kind.build(one.to_owned()));
        }
        Ok(())
    }

    fn read_content_length(&mut self, value: &str, is_first: bool) -> Result<(), Problem> {
        let length = lines::length(value).ok_or(Problem::bad("Malformed Content-Length"))?;
        if !is_first && self.content_length != Some(length) {
            return Err(Problem::bad("Differing Content-Length Headers"));
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn cut_body(&mut self, rest: &'a [u8], length: usize, framing: Framing, limits: &Limits) {
        let problem = match (self.content_length, framing) {
            _ if length > limits.message_bytes => Some(Problem::of(413)),
            (Some(length), _) => match rest.get(..length) {
                Some(body) => {
                    self.body = body;
                    None
                }
                None if length > limits.message_bytes => Some(Problem::of(413)),
                None => Some(Problem::bad("Content-Length Exceeds Message")),
            },
            (None, Framing::Datagram) => {
                self.body = rest;
                None
            }
            // An old peer may leave the header out of a message without a body.
            (None, Framing::Stream) => (!rest.is_empty()
                || self.seen & (Kind::ContentType.bit() | Kind::ContentLength.bit()) != 0)
                .then_some(Problem::bad("Missing Content-Length")),
        };
        self.problem = self.problem.or(problem);
    }

    fn check_presence(&mut self) {
        for (kind, problem) in [
            (Kind::Via, "Missing Via"),
            (Kind::From, "Missing From"),
            (Kind::To, "Missing To"),
            (Kind::CallId, "Missing Call-ID"),
            (Kind::CSeq, "Missing CSeq"),
        ] {
            if self.seen & kind.bit() == 0 {
                self.problem = self.problem.or_else(|| Some(Problem::bad(problem)));
            }
        }
    }
}

/// Headers of which a message has one at most; two would let peers differ over which counts.
const fn repeated(kind: Kind) -> Option<Problem> {
    Some(Problem::bad(match kind {
        Kind::From => "Repeated From",
        Kind::To => "Repeated To",
        Kind::CallId => "Repeated Call-ID",
        Kind::CSeq => "Repeated CSeq",
        Kind::MaxForwards => "Repeated Max-Forwards",
        Kind::ContentType => "Repeated Content-Type",
        Kind::Event => "Repeated Event",
        Kind::Expires => "Repeated Expires",
        Kind::SubscriptionState => "Repeated Subscription-State",
        _ => return None,
    }))
}

fn check(kind: Kind, value: &str, is_first: bool, method: Option<&str>) -> Result<(), Problem> {
    let is_good = match kind {
        Kind::Via if is_first => {
            let top = split_list(value).next().unwrap_or_default();
            return via::check(top).map_err(|_| Problem::bad("Malformed Via"));
        }
        Kind::From => {
            return name_addr::check(value).map(drop).map_err(|_| Problem::bad("Malformed From"));
        }
        Kind::To => {
            return name_addr::check(value).map(drop).map_err(|_| Problem::bad("Malformed To"));
        }
        Kind::CallId => !value.is_empty() && !value.contains(is_blank),
        Kind::CSeq => match cseq::split(value) {
            Ok((_, named)) if method.is_some_and(|method| method != named) => {
                return Err(Problem::bad("CSeq Names Another Method"));
            }
            Ok(_) => true,
            Err(_) => return Err(Problem::bad("Malformed CSeq")),
        },
        Kind::MaxForwards => match max_forwards::parse(value) {
            Ok(_) => true,
            Err(_) => return Err(Problem::bad("Malformed Max-Forwards")),
        },
        _ => true,
    };
    if is_good { Ok(()) } else { Err(Problem::bad("Malformed Call-ID")) }
}

#[cfg(test)]
mod tests;
