//! A small HTTPS client: one request, one connection, any certificate.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rustls::{ClientConnection, StreamOwned};

use crate::wire::PATIENCE;
use crate::wire::tls;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: String,
}

/// GETs a path.
///
/// # Panics
/// When there is no answer.
#[track_caller]
pub fn get(server: SocketAddr, path: &str) -> Answer {
    let (config, _pin) = tls::config();
    let session = ClientConnection::new(config, tls::server_name(server)).expect("TLS session");
    let stream = TcpStream::connect(server).unwrap_or_else(|e| panic!("no HTTP at {server}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut stream = StreamOwned::new(session, stream);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("write the request");
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes)
        && error.kind() != std::io::ErrorKind::UnexpectedEof
    {
        panic!("GET {path}: {error}");
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
