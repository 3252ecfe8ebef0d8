//! Sockets of the test client: datagrams, streams, and streams under TLS; each with a reader thread.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use rustls::ClientConnection;

use super::message::Message;
use super::tls;

/// The transport that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Datagrams.
    Udp,
    /// A TCP stream.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Via {
    /// The token of a Via header.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// The writing side of a client's socket.
pub enum Socket {
    /// A bound, unconnected datagram socket and the server's address.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// A stream.
    Tcp(Mutex<TcpStream>),
    /// A stream under TLS; reader and writers share the state of the connection.
    Tls(Arc<Mutex<ClientConnection>>, Mutex<TcpStream>),
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Udp(..) => "udp",
            Self::Tcp(_) => "tcp",
            Self::Tls(..) => "tls",
        })
    }
}

/// What the reader thread of a socket reports.
pub enum Arrival {
    /// One message.
    Message(Message, SocketAddr),
    /// Octets on a stream that belong to no message: a keep-alive answer (RFC 5626 §4.4.1).
    Blank(usize),
    /// The peer closed the stream.
    Closed,
}

/// Opens a socket and starts its reader, which lives until the socket is shut or closed.
pub fn open(
    via: Via,
    server: SocketAddr,
    bind: Option<SocketAddr>,
    mut on_arrival: impl FnMut(Arrival) + Send + 'static,
) -> io::Result<(Socket, SocketAddr)> {
    if via == Via::Udp {
        let any = if server.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = match bind {
            Some(address) => UdpSocket::bind(address)?,
            None => UdpSocket::bind(any)?,
        };
        let local = socket.local_addr()?;
        let socket = Arc::new(socket);
        let reader = Arc::downgrade(&socket);
        let ours = socket.try_clone()?;
        ours.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while reader.strong_count() > 0 {
                let Ok((length, peer)) = ours.recv_from(&mut buffer) else { continue };
                if let Some(message) = buffer.get(..length).and_then(Message::cut) {
                    on_arrival(Arrival::Message(message, peer));
                }
            }
        });
        return Ok((Socket::Udp(socket, server), local));
    }
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut reader = stream.try_clone()?;
    if via == Via::Tcp {
        std::thread::spawn(move || {
            let mut pending = Vec::new();
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..length]);
                drain(&mut pending, server, &mut on_arrival);
            }
            on_arrival(Arrival::Closed);
        });
        return Ok((Socket::Tcp(Mutex::new(stream)), local));
    }
    let (config, _pin) = tls::config();
    let mut session =
        ClientConnection::new(config, tls::server_name(server)).map_err(io::Error::other)?;
    let mut stream = stream;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    let session = Arc::new(Mutex::new(session));
    let shared = Arc::clone(&session);
    std::thread::spawn(move || {
        let mut pending = Vec::new();
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            let mut bytes = &buffer[..length];
            let Ok(mut session) = shared.lock() else { break };
            while !bytes.is_empty() {
                if session.read_tls(&mut bytes).is_err() || session.process_new_packets().is_err() {
                    break;
                }
                let mut plain = vec![0; 65_536];
                while let Ok(length @ 1..) = session.reader().read(&mut plain) {
                    pending.extend_from_slice(&plain[..length]);
                }
            }
            drop(session);
            drain(&mut pending, server, &mut on_arrival);
        }
        on_arrival(Arrival::Closed);
    });
    Ok((Socket::Tls(session, Mutex::new(stream)), local))
}

/// Reports every whole message at the start of `pending`.
fn drain(pending: &mut Vec<u8>, peer: SocketAddr, on_arrival: &mut impl FnMut(Arrival)) {
    loop {
        let blank = pending.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if blank > 0 {
            pending.drain(..blank);
            on_arrival(Arrival::Blank(blank));
        }
        let Some(length) = Message::framed(pending) else { return };
        let bytes: Vec<u8> = pending.drain(..length).collect();
        if let Some(message) = Message::cut(&bytes) {
            on_arrival(Arrival::Message(message, peer));
        }
    }
}

impl Socket {
    /// Writes octets: one datagram, or so much of a stream.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket, server) => socket.send_to(bytes, server).map(|_| ()),
            Self::Tcp(stream) => stream.lock().map_err(|_| io::ErrorKind::Other)?.write_all(bytes),
            Self::Tls(session, stream) => {
                let mut session = session.lock().map_err(|_| io::ErrorKind::Other)?;
                session.writer().write_all(bytes)?;
                let mut stream = stream.lock().map_err(|_| io::ErrorKind::Other)?;
                while session.wants_write() {
                    session.write_tls(&mut *stream)?;
                }
                Ok(())
            }
        }
    }

    /// Sends a datagram elsewhere than to the server.
    pub fn write_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Udp(socket, _) => socket.send_to(bytes, to).map(|_| ()),
            Self::Tcp(_) | Self::Tls(..) => self.write(bytes),
        }
    }

    /// Ends a stream; datagrams have nothing to end.
    pub fn shut(&self) {
        let stream = match self {
            Self::Udp(..) => return,
            Self::Tcp(stream) | Self::Tls(_, stream) => stream,
        };
        if let Ok(stream) = stream.lock() {
            // A peer that closed first is as good.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
