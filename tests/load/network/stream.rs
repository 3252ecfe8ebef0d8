//! A connection of the generator, bare or under TLS: messages in, messages out.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use lamplight_tests::wire::tls;
use memchr::memmem;
use rustls::{ClientConfig, ClientConnection};

use crate::text;

/// A connection to the server.
pub struct Stream {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    inbound: Vec<u8>,
    /// Bytes of `inbound` that have been taken.
    taken: usize,
    outbound: Vec<u8>,
    is_closed: bool,
    /// Whether the network waits for room to send.
    pub waits_for_room: bool,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream {
    /// Connects, and shakes hands where there is TLS; our address too.
    pub fn connect(
        server: SocketAddr,
        config: Option<&Arc<ClientConfig>>,
    ) -> io::Result<(Self, SocketAddr)> {
        let mut socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let tls = match config {
            None => None,
            Some(config) => {
                let name = tls::server_name(server);
                let mut session =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                session.set_buffer_limit(None);
                while session.is_handshaking() {
                    session.complete_io(&mut socket)?;
                }
                Some(session)
            }
        };
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let stream = Self {
            socket,
            tls,
            inbound: Vec::new(),
            taken: 0,
            outbound: Vec::new(),
            is_closed: false,
            waits_for_room: false,
        };
        Ok((stream, local))
    }

    /// Whether the server has closed it.
    pub const fn has_closed(&self) -> bool {
        self.is_closed
    }

    /// The next message that is complete, copied to `buffer`.
    pub fn receive(&mut self, scratch: &mut [u8], buffer: &mut [u8]) -> Option<usize> {
        loop {
            while self.inbound.get(self.taken).is_some_and(|b| matches!(b, b'\r' | b'\n')) {
                self.taken += 1;
            }
            let rest = &self.inbound[self.taken..];
            if let Some(length) = message_length(rest)
                && length <= rest.len()
            {
                buffer[..length].copy_from_slice(&rest[..length]);
                self.taken += length;
                return Some(length);
            }
            self.inbound.drain(..self.taken);
            self.taken = 0;
            if !self.fill(scratch) {
                return None;
            }
        }
    }

    /// Reads what is there; false when nothing is.
    fn fill(&mut self, scratch: &mut [u8]) -> bool {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(scratch) {
                Ok(count) if count > 0 => {
                    self.inbound.extend_from_slice(&scratch[..count]);
                    true
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Ok(_) | Err(_) => {
                    self.is_closed = true;
                    false
                }
            };
        };
        match tls.read_tls(&mut self.socket) {
            Ok(count) if count > 0 => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Ok(_) | Err(_) => {
                self.is_closed = true;
                return false;
            }
        }
        if tls.process_new_packets().is_err() {
            self.is_closed = true;
            return false;
        }
        while let Ok(count) = tls.reader().read(scratch)
            && count > 0
        {
            self.inbound.extend_from_slice(&scratch[..count]);
        }
        true
    }

    /// Sends, or keeps for later; whether all has left.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.is_closed {
            return Err(ErrorKind::NotConnected.into());
        }
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.outbound.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Sends what was kept; whether all has left.
    pub fn flush(&mut self) -> io::Result<bool> {
        let mut sent = 0;
        loop {
            let wrote = match &mut self.tls {
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.socket),
                None if sent < self.outbound.len() => {
                    self.socket.write(&self.outbound[sent..]).inspect(|count| sent += count)
                }
                Some(_) | None => {
                    self.outbound.clear();
                    return Ok(true);
                }
            };
            match wrote {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.outbound.drain(..sent);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The length of the message that begins here, once its head is complete.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let head = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let body = text::header(&bytes[..head], "Content-Length:").unwrap_or("0");
    Some(head + text::decimal(body.as_bytes())? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_length_says() {
        let text = b"SIP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbodySIP/2.0";
        assert_eq!(message_length(text), Some(text.len() - 7));
        assert_eq!(message_length(b"SIP/2.0 200 OK\r\nContent-Length: 4\r\n"), None);
    }
}
