//! The messages of RFC 4475 and RFC 5118, each with the class of answer that the RFC wants, and
//! mutations of all of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use sip::message::{HeaderAccess, Message, Request, Response, reason_of};
use sip::parse::{Framing, Limits, ParseFailure, message};

mod application;
mod invalid;
mod ipv6;
mod ipv6_messages;
mod messages;
mod mutation;
mod valid;

/// Reads a message of the collection as it would come in a datagram.
fn read(name: &str) -> Result<Message, ParseFailure> {
    message(&messages::named(name), Framing::Datagram, &Limits::default())
}

/// The request of that name, which must be taken.
fn request(name: &str) -> Request {
    match read(name) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

/// The response of that name, which must be taken.
fn response(name: &str) -> Response {
    match read(name) {
        Ok(Message::Response(response)) => response,
        other => panic!("{name}: {other:?}"),
    }
}

/// The answer that the message of that name gets, which must say why.
fn refusal(name: &str) -> Response {
    match read(name) {
        Err(ParseFailure::Answer(response)) => {
            let wire = messages::named(name);
            let text = String::from_utf8_lossy(&wire);
            assert!(response.headers.has("Via"), "{name}");
            for (header, value) in response.headers.pairs() {
                let value = value.split(";tag=").next().unwrap();
                assert!(text.contains(value), "{name}: {header} is not the request's");
            }
            *response
        }
        other => panic!("{name}: {other:?}"),
    }
}

/// Status and reason phrase of that answer.
fn refused(name: &str) -> (u16, String) {
    let status = refusal(name).status_code;
    (status.code(), reason_of(&status).to_owned())
}
