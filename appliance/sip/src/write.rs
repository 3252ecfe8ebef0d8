//! Messages to bytes (RFC 3261 §7). Bodies go out as they are; Content-Length is always told,
//! and always by us.

use std::net::IpAddr;

use bytes::BufMut;
use rsip::{Header, Headers, Request, Response, Version};

use crate::header::name_addr;
use crate::message::{self, Kind, Reply, header_name, header_value};
use crate::uri;

/// Writes a request behind what `out` holds.
pub fn request(request: &Request, out: &mut impl BufMut) {
    out.put_slice(message::method(request.method).as_bytes());
    out.put_u8(b' ');
    push_line_text(uri::to_string(&request.uri).as_bytes(), out);
    out.put_u8(b' ');
    out.put_slice(version(&request.version));
    out.put_slice(b"\r\n");
    headers_and_body(&request.headers, &request.body, out);
}

/// Writes a response behind what `out` holds.
pub fn response(response: &Response, out: &mut impl BufMut) {
    out.put_slice(version(&response.version));
    out.put_u8(b' ');
    decimal(u64::from(response.status_code.code()), out);
    out.put_u8(b' ');
    push_line_text(message::reason_of(&response.status_code).as_bytes(), out);
    out.put_slice(b"\r\n");
    headers_and_body(&response.headers, &response.body, out);
}

/// Writes the answer to a request behind what `out` holds, without making a response of it.
pub fn reply(request: &Request, reply: &Reply<'_>, out: &mut impl BufMut) {
    out.put_slice(b"SIP/2.0 ");
    decimal(u64::from(reply.status), out);
    out.put_u8(b' ');
    out.put_slice(message::reason_phrase(reply.status).as_bytes());
    out.put_slice(b"\r\n");
    for one in request.headers.iter() {
        let value = header_value(one);
        match one {
            Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => {
                header(header_name(one), value, out);
            }
            Header::To(_) if name_addr::tag_of(value).is_none() => {
                out.put_slice(b"To: ");
                push_line_text(value.as_bytes(), out);
                out.put_slice(b";tag=");
                push_line_text(reply.to_tag.as_bytes(), out);
                out.put_slice(b"\r\n");
            }
            Header::To(_) => header("To", value, out),
            _ => {}
        }
    }
    for (name, value) in reply.headers {
        header(name, value, out);
    }
    header("Server", reply.server, out);
    end_of_head(0, out);
}

/// Writes one header line. Line ends inside the value become blanks, so that no value can add a
/// header.
pub fn header(name: &str, value: &str, out: &mut impl BufMut) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    push_line_text(value.as_bytes(), out);
    out.put_slice(b"\r\n");
}

/// Writes a number.
pub fn decimal(mut number: u64, out: &mut impl BufMut) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Writes a number into text.
pub(crate) fn push_decimal(mut number: u32, out: &mut String) {
    let mut digits = [0; 10];
    let mut used = 0;
    for digit in &mut digits {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().take(used).rev().map(|digit| char::from(*digit)));
}

/// Writes an address into text, an IPv6 one without brackets.
pub(crate) fn push_address(address: IpAddr, out: &mut String) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push('.');
                }
                push_decimal(octet.into(), out);
            }
        }
        IpAddr::V6(address) => out.push_str(&address.to_string()),
    }
}

/// Writes the Content-Length line and the blank line that ends a head.
pub fn end_of_head(body_length: usize, out: &mut impl BufMut) {
    out.put_slice(b"Content-Length: ");
    decimal(u64::try_from(body_length).unwrap_or(u64::MAX), out);
    out.put_slice(b"\r\n\r\n");
}

fn headers_and_body(headers: &Headers, body: &[u8], out: &mut impl BufMut) {
    for one in headers.iter() {
        let name = header_name(one);
        if !name.eq_ignore_ascii_case(Kind::ContentLength.name()) {
            header(name, header_value(one), out);
        }
    }
    end_of_head(body.len(), out);
    out.put_slice(body);
}

fn push_line_text(text: &[u8], out: &mut impl BufMut) {
    if memchr::memchr2(b'\r', b'\n', text).is_none() {
        out.put_slice(text);
    } else {
        for byte in text {
            out.put_u8(if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte });
        }
    }
}

const fn version(version: &Version) -> &'static [u8] {
    match version {
        Version::V1 => b"SIP/1.0",
        Version::V2 => b"SIP/2.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HeaderAccess, Method, response_to};

    fn options() -> Request {
        let mut headers = Headers::default();
        headers.append("Via", "SIP/2.0/UDP a.test;branch=z9hG4bK1");
        headers.append("To", "<sip:b@c.test>");
        headers.append("l", "99");
        Request {
            method: Method::Options,
            uri: uri::parse("sip:b@c.test;lr").unwrap(),
            version: Version::V2,
            headers,
            body: vec![0, 255, b'\r', b'\n'],
        }
    }

    #[test]
    fn bodies_are_exact_and_lengths_our_own() {
        let mut bytes = Vec::new();
        request(&options(), &mut bytes);
        let mut expected = b"OPTIONS sip:b@c.test;lr SIP/2.0\r\n\
            Via: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\nTo: <sip:b@c.test>\r\n\
            Content-Length: 4\r\n\r\n"
            .to_vec();
        expected.extend_from_slice(&[0, 255, b'\r', b'\n']);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_reply_is_what_the_response_would_be() {
        for to in ["<sip:b@c.test>", "sip:b@c.test;tag=theirs", "\"B\" <sip:b@c.test;x>;y"] {
            let mut request = options();
            request.headers.set("To", to);
            request.headers.append("From", "<sip:a@b.test>;tag=1");
            request.headers.append("CSeq", "1 OPTIONS");
            request.headers.append("Via", "SIP/2.0/UDP b.test;branch=z9hG4bK2");
            request.headers.append("Call-ID", "c");
            let mut answer = response_to(&request, 200, None, Some("t"));
            answer.headers.append("Expires", "60");
            answer.headers.append("Server", "us");
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            response(&answer, &mut expected);
            let headers = &[("Expires", "60")];
            let to_write = Reply { status: 200, to_tag: "t", headers, server: "us" };
            reply(&request, &to_write, &mut written);
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn values_cannot_add_headers() {
        let mut answer = response_to(&options(), 200, Some("OK\r\nX: y"), Some("t"));
        answer.headers.append("Subject", "a\r\nEvil: b\nc");
        let mut bytes = Vec::new();
        response(&answer, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("SIP/2.0 200 OK  X: y\r\n"), "{text}");
        assert!(text.contains("\r\nSubject: a  Evil: b c\r\n"), "{text}");
        assert!(text.contains("\r\nTo: <sip:b@c.test>;tag=t\r\n"), "{text}");
    }

    #[test]
    fn addresses_read_as_everybody_writes_them() {
        for text in ["0.0.0.0", "192.0.2.10", "255.255.255.255", "2001:db8::1", "::ffff:1.2.3.4"] {
            let mut out = String::new();
            push_address(text.parse().unwrap(), &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn numbers_of_every_length() {
        for number in [0, 7, 10, 65_535, u32::MAX] {
            let mut out = String::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string());
        }
        for number in [0, 9, 10, 4_294_967_295, u64::MAX] {
            let mut out = Vec::new();
            decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
