//! Requests as text, and the little that has to be read of what comes back.
//!
//! What the generator reads is where it put it itself: a transaction's slot in the branch, a
//! dialog's index in its Contact, a change's number in the note of the document.

use std::io::Write as _;
use std::net::SocketAddr;

use memchr::{memchr, memmem};

use crate::network::Transport;
use crate::text::decimal;

/// The domain of all users.
pub const DOMAIN: &str = "example.test";
/// What precedes the number of a change in a document.
pub const CHANGE: &[u8] = b"change-";
/// What our branches begin with.
const BRANCH: &[u8] = b"branch=z9hG4bKload";

/// What every request has.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    pub method: &'a str,
    /// Who the Request-URI names: a user, or none inside a dialog.
    pub user: Option<u32>,
    pub server: SocketAddr,
    pub local: SocketAddr,
    pub transport: Transport,
    pub slot: u32,
    pub serial: u32,
    pub from: u32,
    pub from_tag: &'a str,
    pub to: u32,
    pub to_tag: &'a str,
    pub call: &'a str,
    pub cseq: u32,
}

/// The name of a user.
pub fn user(index: u32) -> String {
    format!("u{index:06}")
}

/// A request that asks a server only whether it is there.
pub fn options(server: SocketAddr, local: SocketAddr, number: u32) -> String {
    format!(
        "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKready{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:load@{DOMAIN}>;tag=o\r\nTo: <sip:{server}>\r\n\
         Call-ID: ready@{local}\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Writes a request up to CSeq.
pub fn begin(text: &mut Vec<u8>, start: &Start<'_>) {
    let Start {
        method,
        server,
        local,
        transport,
        slot,
        serial,
        from,
        from_tag,
        to,
        call,
        cseq,
        ..
    } = *start;
    text.clear();
    let via = transport.token();
    let written = match start.user {
        Some(user) => write!(text, "{method} sip:u{user:06}@{DOMAIN} SIP/2.0\r\n"),
        None if method == "REGISTER" => write!(text, "{method} sip:{DOMAIN} SIP/2.0\r\n"),
        None => write!(text, "{method} sip:{server} SIP/2.0\r\n"),
    };
    written.expect("memory takes it");
    write!(
        text,
        "Via: SIP/2.0/{via} {local};branch=z9hG4bKload{slot:08x}{serial:08x};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:u{from:06}@{DOMAIN}>;tag={from_tag}\r\n\
         To: <sip:u{to:06}@{DOMAIN}>"
    )
    .expect("memory takes it");
    if !start.to_tag.is_empty() {
        write!(text, ";tag={}", start.to_tag).expect("memory takes it");
    }
    write!(text, "\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n").expect("memory takes it");
}

/// Ends a request that has no body.
pub fn end(text: &mut Vec<u8>) {
    text.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// Writes a document of about 700 bytes and ends the request.
pub fn end_with_document(text: &mut Vec<u8>, document: &mut Vec<u8>, user: u32, change: u32) {
    document.clear();
    let busy = if change.is_multiple_of(2) { "busy" } else { "meeting" };
    write!(
        document,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:u{user:06}@{DOMAIN}\">\r\n\
         <tuple id=\"t{user:06}\"><status><basic>open</basic></status>\
         <dm:deviceID>urn:x-mac:00{user:010x}</dm:deviceID>\
         <contact priority=\"0.8\">sip:u{user:06}@{DOMAIN}</contact>\
         <note>change-{change:08x}</note></tuple>\r\n\
         <dm:person id=\"p{user:06}\"><rpid:activities><rpid:{busy}/></rpid:activities>\
         <dm:note>In the office until six, then travelling</dm:note></dm:person>\r\n\
         <dm:device id=\"d{user:06}\"><dm:deviceID>urn:x-mac:00{user:010x}</dm:deviceID>\
         </dm:device>\r\n</presence>\r\n"
    )
    .expect("memory takes it");
    write!(
        text,
        "Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n",
        document.len()
    )
    .expect("memory takes it");
    text.extend_from_slice(document);
}

/// What is read of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub slot: u32,
    pub serial: u32,
}

/// Reads status and branch of a response to one of our requests.
pub fn response(bytes: &[u8]) -> Option<Response> {
    let status = std::str::from_utf8(bytes.get(8..11)?).ok()?.parse().ok()?;
    let token = memmem::find(bytes, BRANCH)? + BRANCH.len();
    let slot = hexadecimal(bytes.get(token..token + 8)?)?;
    let serial = hexadecimal(bytes.get(token + 8..token + 16)?)?;
    Some(Response { status, slot, serial })
}

/// What is read of a NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// From the Request-URI, which is the Contact that we gave.
    pub dialog: u32,
    pub cseq: u32,
    pub is_last: bool,
    /// The change that its document tells of.
    pub change: Option<u32>,
}

/// What our Contact in a dialog is, as far as the index.
pub const CONTACT: &[u8] = b"NOTIFY sip:d";

/// Reads a NOTIFY and writes its answer.
pub fn answer_notify(bytes: &[u8], answer: &mut Vec<u8>) -> Option<Notify> {
    let dialog = hexadecimal(bytes.strip_prefix(CONTACT)?.get(..8)?)?;
    answer.clear();
    answer.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    let (mut cseq, mut is_last) = (None, false);
    let mut rest = bytes.get(memchr(b'\n', bytes)? + 1..)?;
    loop {
        let (line, next) = rest.split_at(memchr(b'\n', rest)? + 1);
        rest = next;
        match line.first() {
            Some(b'V' | b'F' | b'T')
                if line.starts_with(b"Via:")
                    || line.starts_with(b"From:")
                    || line.starts_with(b"To:") =>
            {
                answer.extend_from_slice(line);
            }
            Some(b'C') if line.starts_with(b"Call-ID:") => answer.extend_from_slice(line),
            Some(b'C') => {
                if let Some(value) = line.strip_prefix(b"CSeq: ") {
                    answer.extend_from_slice(line);
                    cseq = decimal(value);
                }
            }
            Some(b'S') if line.starts_with(b"Subscription-State:") => {
                is_last = memmem::find(line, b"terminated").is_some();
            }
            Some(b'\r') => break,
            _ => {}
        }
    }
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    let change = memmem::find(rest, CHANGE)
        .and_then(|at| hexadecimal(rest.get(at + CHANGE.len()..at + CHANGE.len() + 8)?));
    Some(Notify { dialog, cseq: cseq?, is_last, change })
}

/// Eight hexadecimal digits, or however many are given.
pub fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let mut number = 0;
    for digit in digits {
        number = (number << 4) | char::from(*digit).to_digit(16)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFY: &str = "NOTIFY sip:d0000002a@127.0.0.1:4000 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:u000001@example.test>;tag=a\r\nTo: <sip:u000002@example.test>;tag=b\r\n\
        Call-ID: x\r\nContact: <sip:127.0.0.1:5060>\r\nCSeq: 17 NOTIFY\r\n\
        Subscription-State: active;expires=9\r\nContent-Length: 20\r\n\r\n\
        <n>change-0000001f</";

    #[test]
    fn answers_a_notify_with_its_own_headers() {
        let mut answer = Vec::new();
        let read = answer_notify(NOTIFY.as_bytes(), &mut answer);
        let expected = Notify { dialog: 42, cseq: 17, is_last: false, change: Some(31) };
        assert_eq!(read, Some(expected));
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\n\
             From: <sip:u000001@example.test>;tag=a\r\nTo: <sip:u000002@example.test>;tag=b\r\n\
             Call-ID: x\r\nCSeq: 17 NOTIFY\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn finds_its_own_slot_in_a_response() {
        let address = "127.0.0.1:9".parse().unwrap();
        let mut text = Vec::new();
        let start = Start {
            method: "PUBLISH",
            user: Some(7),
            server: address,
            local: address,
            transport: Transport::Udp,
            slot: 0xabc,
            serial: 0xf,
            from: 7,
            from_tag: "f",
            to: 7,
            to_tag: "",
            call: "c",
            cseq: 1,
        };
        begin(&mut text, &start);
        let text = String::from_utf8(text).unwrap();
        let answer = text.replacen("PUBLISH sip:u000007@example.test SIP/2.0", "SIP/2.0 412 No", 1);
        let read = response(answer.as_bytes());
        assert_eq!(read, Some(Response { status: 412, slot: 0xabc, serial: 0xf }));
    }

    #[test]
    fn documents_are_about_700_bytes() {
        let (mut text, mut document) = (Vec::new(), Vec::new());
        end_with_document(&mut text, &mut document, 4_999, 1);
        assert!((650..=750).contains(&document.len()), "{}", document.len());
    }
}
