//! A small HTTPS client: one request, one connection, any certificate.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

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
    try_get(server, path, PATIENCE)
        .unwrap_or_else(|error| panic!("GET {path} from {server}: {error}"))
}

/// The same where the server may not be there yet.
pub fn try_get(server: SocketAddr, path: &str, within: Duration) -> io::Result<Answer> {
    try_send(server, "GET", path, &[], "", within)
}

/// Sends a request with these headers and this body.
///
/// # Panics
/// When there is no answer.
#[track_caller]
pub fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    try_send(server, method, path, headers, body, PATIENCE)
        .unwrap_or_else(|error| panic!("{method} {path} to {server}: {error}"))
}

impl Answer {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn try_send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    within: Duration,
) -> io::Result<Answer> {
    let (config, _pin) = tls::config();
    let session =
        ClientConnection::new(config, tls::server_name(server)).map_err(io::Error::other)?;
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(within))?;
    let mut stream = StreamOwned::new(session, stream);
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes)
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        return Err(error);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let no_answer = || io::Error::other(format!("no HTTP answer but {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_answer)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(no_answer)?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
