//! What the parser accepts, answers and drops.

use super::*;
use crate::message::{HeaderAccess, reason_of};
use crate::uri;

const HEAD: &str = "Via: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\nFrom: <sip:a@b.test>;tag=1\r\n\
    To: <sip:c@d.test>\r\nCall-ID: x\r\nMax-Forwards: 70\r\n";

fn options(more: &str, body: &str) -> String {
    format!("OPTIONS sip:c@d.test SIP/2.0\r\n{HEAD}CSeq: 1 OPTIONS\r\n{more}\r\n{body}")
}

fn read(text: impl AsRef<[u8]>, framing: Framing) -> Result<Message, ParseFailure> {
    message(text.as_ref(), framing, &Limits::default())
}

fn accepted(text: impl AsRef<[u8]>) -> Request {
    match read(text, Framing::Datagram) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn answer(result: Result<Message, ParseFailure>) -> Response {
    match result {
        Err(ParseFailure::Answer(response)) => *response,
        other => panic!("{other:?}"),
    }
}

/// Status and reason of the answer.
fn refused(text: impl AsRef<[u8]>) -> (u16, String) {
    let answer = answer(read(text, Framing::Datagram));
    (answer.status_code.code(), reason_of(&answer.status_code).to_owned())
}

#[test]
fn values_come_unfolded_trimmed_and_parted() {
    let request = accepted(
        "\r\n\r\nOPTIONS sip:c@d.test SIP/2.0\n\
         v:SIP/2.0/UDP a.test;branch=z9hG4bK1 ,\n \tSIP/2.0/TCP b.test\n\
         Route : <sip:p.test;lr>,<sip:q.test?x=1,2>\n\
         f:\"A, B\" <sip:a@b.test>;\r\n\ttag=1  \r\n\
         t: sip:c@d.test\ni: x\nCSEQ: 1 OPTIONS\n\
         Accept: a/b, c/d\nX-Own:   \nu: presence\nL: 2\n\nokmore",
    );
    let pairs: Vec<_> = request.headers.pairs().collect();
    assert_eq!(
        pairs,
        [
            ("Via", "SIP/2.0/UDP a.test;branch=z9hG4bK1"),
            ("Via", "SIP/2.0/TCP b.test"),
            ("Route", "<sip:p.test;lr>"),
            ("Route", "<sip:q.test?x=1,2>"),
            ("From", "\"A, B\" <sip:a@b.test>; tag=1"),
            ("To", "sip:c@d.test"),
            ("Call-ID", "x"),
            ("CSeq", "1 OPTIONS"),
            ("Accept", "a/b, c/d"),
            ("X-Own", ""),
            ("Allow-Events", "presence"),
        ]
    );
    assert_eq!(request.body, b"ok");
}

#[test]
fn a_header_that_is_not_utf8_is_latin_1() {
    let mut bytes = options("Subject: caf\u{1}\r\nOrganization: \u{f6}\r\n", "").into_bytes();
    let place = bytes.iter().position(|b| *b == 1).unwrap();
    bytes[place] = 0xe9;
    let request = accepted(bytes);
    assert_eq!(request.headers.value("Subject"), Some("caf\u{e9}"));
    assert_eq!(request.headers.value("Organization"), Some("\u{f6}"));
}

#[test]
fn the_answer_is_ready_to_be_sent() {
    let text = options("Content-Length: 5\r\nVia: SIP/2.0/TCP b.test\r\n", "");
    let response = answer(read(&text, Framing::Datagram));
    let mut pairs: Vec<_> =
        response.headers.pairs().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let to = &mut pairs[2].1;
    let tag = to.split_off("<sip:c@d.test>;tag=".len());
    assert_eq!(tag.len(), 16);
    assert_eq!(
        pairs,
        [
            ("Via", "SIP/2.0/UDP a.test;branch=z9hG4bK1"),
            ("From", "<sip:a@b.test>;tag=1"),
            ("To", "<sip:c@d.test>;tag="),
            ("Call-ID", "x"),
            ("CSeq", "1 OPTIONS"),
            ("Via", "SIP/2.0/TCP b.test"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    assert_eq!(response, answer(read(&text, Framing::Datagram)), "s8.2.7: the same tag again");
}

#[test]
fn reasons_are_specific() {
    let replace = |from: &str, to: &str| {
        let text = options("", "");
        assert!(text.contains(from), "{from}");
        refused(text.replacen(from, to, 1))
    };
    for (from, to, reason) in [
        ("Via: SIP/2.0/UDP a.test", "Via: SIP/2.0/UDP a_!test", "Malformed Via"),
        ("From: <", "From: <<", "Malformed From"),
        ("To: <sip:c@d.test>", "To: <sip:c@d.test", "Malformed To"),
        (";tag=1", ";tag=", "Malformed From"),
        ("Call-ID: x", "Call-ID:", "Malformed Call-ID"),
        ("Call-ID: x", "Call-ID: x y", "Malformed Call-ID"),
        ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", "CSeq Names Another Method"),
        ("CSeq: 1 OPTIONS", "CSeq: 1 options", "CSeq Names Another Method"),
        ("CSeq: 1 OPTIONS", "CSeq: OPTIONS", "Malformed CSeq"),
        ("Max-Forwards: 70", "Max-Forwards: 256", "Malformed Max-Forwards"),
        ("Max-Forwards: 70", "To: <sip:c@d.test>", "Repeated To"),
        ("Max-Forwards: 70", "f: <sip:c@d.test>", "Repeated From"),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", "Repeated Max-Forwards"),
        ("Max-Forwards: 70", "i: x", "Repeated Call-ID"),
        ("Max-Forwards: 70", "Cseq: 1 OPTIONS", "Repeated CSeq"),
        ("Max-Forwards: 70", "No colon", "Header Without Colon"),
        ("Max-Forwards: 70", "Bad name: x", "Malformed Header Name"),
        ("Max-Forwards: 70", ": x", "Malformed Header Name"),
        ("Max-Forwards: 70", "X: a\rb", "Stray CR in Header"),
        ("Max-Forwards: 70", "Route: <sip:a>,,<sip:b>", "Empty Value in Header List"),
        ("Max-Forwards: 70", "l: 0\r\nl: 1", "Differing Content-Length Headers"),
        ("Max-Forwards: 70", "l: 0x0", "Malformed Content-Length"),
        ("Max-Forwards: 70", "l: -1", "Malformed Content-Length"),
        ("Max-Forwards: 70", "l: 1", "Content-Length Exceeds Message"),
        ("From: ", "X: ", "Missing From"),
        ("To: ", "X: ", "Missing To"),
        ("Call-ID: ", "X: ", "Missing Call-ID"),
        ("CSeq: ", "X: ", "Missing CSeq"),
        ("sip:c@d.test SIP", "sip:c@d.test  SIP", "Blank in Request Line"),
        ("sip:c@d.test SIP", "sip:c@ d.test SIP", "Blank in Request Line"),
        ("SIP/2.0\r\nVia", "SIP/2.0 \r\nVia", "Blank in Request Line"),
        ("sip:c@d.test SIP", "<sip:c@d.test> SIP", "Malformed Request-URI Scheme"),
        ("sip:c@d.test SIP", "sip:c@d.test:x SIP", "Malformed Host in Request-URI"),
        ("sip:c@d.test SIP", "sip:c@d.test;;x SIP", "Malformed Parameter in Request-URI"),
        ("sip:c@d.test SIP", "sip:c%x@d.test SIP", "Malformed User in Request-URI"),
        ("sip:c@d.test SIP", "sip:c@d.test?a=b SIP", "Headers in Request-URI"),
        ("SIP/2.0\r\nVia", "SIP/2.0.1\r\nVia", "Malformed Version"),
    ] {
        assert_eq!(replace(from, to), (400, reason.to_owned()), "{to}");
    }
    assert_eq!(replace("Max-Forwards: 70", "l: 99999999999999999999999").0, 413);
    assert_eq!(replace("sip:c@d.test SIP/2.0", "http://d.test SIP/3.0").0, 505);
    assert_eq!(
        replace("sip:c@d.test SIP", "http://d.test SIP"),
        (416, "Unsupported URI Scheme".into())
    );
    let other = options("", "").replace("OPTIONS", "options");
    assert_eq!(refused(&other), (501, "Not Implemented".into()));
}

#[test]
fn repeated_lengths_that_agree_pass() {
    assert_eq!(accepted(options("l: 2\r\nContent-Length: 02\r\n", "okmore")).body, b"ok");
}

#[test]
fn nobody_answers_an_ack_a_response_or_what_has_no_via() {
    let ack = options("l: 9\r\n", "").replace("OPTIONS", "ACK");
    for text in [
        ack.clone(),
        ack.replace("l: 9", "l: x"),
        options("", "").replace("Via: ", "X: "),
        "SIP/2.0 200 OK\r\nl: 0\r\n\r\n".to_owned(),
        "SIP/2.0 20 OK\r\n\r\n".to_owned(),
        "SIP/3.0 200 OK\r\n\r\n".to_owned(),
        format!("SIP/2.0 099 No\r\n{HEAD}CSeq: 1 OPTIONS\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        "\r\n\r\n".to_owned(),
        String::new(),
        options("", "").replace("\r\n\r\n", "\r\n"),
    ] {
        assert!(matches!(read(&text, Framing::Datagram), Err(ParseFailure::Drop(_))), "{text}");
    }
    assert!(read(options("", "").replace("OPTIONS", "ACK"), Framing::Datagram).is_ok());
}

#[test]
fn streams_need_a_length_for_a_body() {
    let reason =
        |text: &str| reason_of(&answer(read(text, Framing::Stream)).status_code).to_owned();
    assert!(read(options("", ""), Framing::Stream).is_ok());
    assert_eq!(reason(&options("", "body")), "Missing Content-Length");
    assert_eq!(reason(&options("c: text/plain\r\n", "")), "Missing Content-Length");
    assert_eq!(reason(&options("l: 9\r\n", "body")), "Content-Length Exceeds Message");
    assert_eq!(accepted(options("", "body")).body, b"body");
}

#[test]
fn limits_hold() {
    let limits = Limits {
        message_bytes: 600,
        header_line_bytes: 60,
        header_count: 12,
        via_count: 3,
        request_uri_bytes: 20,
        ..Limits::default()
    };
    let refused = |text: &str| {
        let code = answer(message(text.as_bytes(), Framing::Datagram, &limits)).status_code;
        (code.code(), reason_of(&code).to_owned())
    };
    assert!(message(options("", "").as_bytes(), Framing::Datagram, &limits).is_ok());
    assert_eq!(refused(&options("", &"x".repeat(600))).0, 413);
    assert_eq!(refused(&options("", "").replace("c@d.test SIP", "c@dddddddddddd.test SIP")).0, 414);
    for (more, reason) in [
        (format!("Subject: {}\r\n", "x".repeat(60)), "Header Too Long"),
        (format!("Subject: {}\r\n", "x\r\n ".repeat(40)), "Header Too Long"),
        ("X: y\r\n".repeat(7), "Too Many Headers"),
        (
            "Contact: <sip:a>,<sip:b>,<sip:c>,<sip:d>,<sip:e>,<sip:f>,g\r\n".into(),
            "Too Many Headers",
        ),
        ("v: SIP/2.0/UDP a\r\n".repeat(3), "Too Many Via Headers"),
        ("v: SIP/2.0/UDP a,SIP/2.0/UDP a,SIP/2.0/UDP a\r\n".into(), "Too Many Via Headers"),
    ] {
        assert_eq!(refused(&options(&more, "")), (400, reason.to_owned()), "{more}");
    }
}

#[test]
fn request_uris_of_every_scheme_that_sip_routes() {
    for uri in ["sips:a@b.test", "tel:+15550100", "pres:a@b.test", "im:a@b.test", "SIP:b.test"] {
        let request = accepted(options("", "").replace("sip:c@d.test SIP", &format!("{uri} SIP")));
        assert!(uri::to_string(&request.uri).eq_ignore_ascii_case(uri));
    }
}
