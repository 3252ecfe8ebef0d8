//! SIP over UDP (RFC 3261 §18): sockets drained and fed directly by the server task, without a
//! copy or an await for each datagram.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::task::{Context, Poll};

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use presence::output::{Payload, Ticket};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The longest datagram there can be.
pub(crate) const DATAGRAM_BYTES: usize = 65_535;
/// Room asked of the kernel for what arrives or leaves in a burst.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams that wait here when the kernel's buffer is full.
const BACKLOG: usize = 8_192;

/// One UDP listener.
#[derive(Debug)]
pub(crate) struct UdpListener {
    socket: UdpSocket,
    local: SocketAddr,
    backlog: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    peer: SocketAddr,
    source: Option<IpAddr>,
    payload: Payload,
    on_failure: Option<Ticket>,
}

/// A datagram that arrived; its bytes are in the buffer given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// How many bytes it has.
    pub(crate) length: usize,
    /// Who sent it.
    pub(crate) peer: SocketAddr,
    /// To which of our addresses.
    pub(crate) local: SocketAddr,
}

/// What became of a datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel has it, or it waits for the kernel.
    Taken,
    /// There was no room for it.
    Dropped,
    /// The kernel refused it.
    Refused,
}

impl UdpListener {
    /// Binds a listener; call within the runtime that is to serve it.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            // IPv4 has its own listeners, so that no address ever appears mapped.
            socket.set_only_v6(true)?;
        }
        // The kernel cuts these down to its own limits; that is no failure.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
        socket.bind(&address.into())?;
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, backlog: VecDeque::new() })
    }

    /// Where it is bound.
    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether messages for a flow with this local address leave here.
    pub(crate) fn serves(&self, local: SocketAddr) -> bool {
        self.local.port() == local.port()
            && self.local.is_ipv4() == local.is_ipv4()
            && (self.local.ip() == local.ip() || self.local.ip().is_unspecified())
    }

    /// Whether a peer at this address can be reached from here.
    pub(crate) fn reaches(&self, peer: SocketAddr) -> bool {
        self.local.is_ipv4() == peer.is_ipv4()
            && (self.local.ip().is_unspecified()
                || self.local.ip().is_loopback() == peer.ip().is_loopback())
    }

    /// Ready when there may be something to receive.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(context)
    }

    /// Ready when the backlog can move; pending for ever without one.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.backlog.is_empty() { Poll::Pending } else { self.socket.poll_send_ready(context) }
    }

    /// Takes one datagram if there is one.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let received = if self.local.ip().is_unspecified() {
            self.socket.try_io(Interest::READABLE, || self.receive_with_destination(buffer))
        } else {
            self.socket.try_recv_from(buffer).map(|(length, peer)| Received {
                length,
                peer,
                local: self.local,
            })
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive_with_destination(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let fd = self.socket.as_raw_fd();
        let mut control = [0_u8; 64];
        let mut parts = [IoSliceMut::new(buffer)];
        let port = self.local.port();
        let (length, peer, destination) = if self.local.is_ipv4() {
            let got = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
            (got.bytes, got.address.map(SocketAddr::from), destination(got.cmsgs()?))
        } else {
            let got =
                recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
            (got.bytes, got.address.map(SocketAddr::from), destination(got.cmsgs()?))
        };
        let peer = peer.ok_or(io::ErrorKind::InvalidData)?;
        let local = destination.map_or(self.local, |ip| SocketAddr::new(ip, port));
        Ok(Received { length, peer, local })
    }

    /// Sends a datagram, from `source` when this listener has several addresses.
    pub(crate) fn send(
        &mut self,
        peer: SocketAddr,
        source: Option<IpAddr>,
        payload: Payload,
        on_failure: Option<Ticket>,
    ) -> Sent {
        // What waits goes first, or a NOTIFY could overtake the one before it.
        if self.backlog.is_empty() {
            match self.send_now(peer, source, &payload) {
                Ok(()) => return Sent::Taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(%peer, %error, "a datagram could not be sent");
                    return Sent::Refused;
                }
            }
        }
        if self.backlog.len() >= BACKLOG {
            return Sent::Dropped;
        }
        self.backlog.push_back(Waiting { peer, source, payload, on_failure });
        Sent::Taken
    }

    /// Moves the backlog as far as the kernel takes it; gives the tickets of what it refused.
    pub(crate) fn send_backlog(&mut self, refused: &mut Vec<Ticket>) {
        while let Some(waiting) = self.backlog.front() {
            match self.send_now(waiting.peer, waiting.source, &waiting.payload) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => refused.extend(waiting.on_failure),
            }
            self.backlog.pop_front();
        }
    }

    fn send_now(
        &self,
        peer: SocketAddr,
        source: Option<IpAddr>,
        payload: &Payload,
    ) -> io::Result<()> {
        let body = payload.body.as_deref().unwrap_or_default();
        let parts = [IoSlice::new(&payload.head), IoSlice::new(body)];
        let parts = if body.is_empty() { parts.get(..1).unwrap_or(&parts) } else { &parts };
        let fd = self.socket.as_raw_fd();
        let none = MsgFlags::empty();
        let source = source.filter(|_| self.local.ip().is_unspecified());
        self.socket.try_io(Interest::WRITABLE, || {
            let sent = match (peer, source) {
                (SocketAddr::V4(peer), Some(IpAddr::V4(source))) => {
                    let info = packet_info_v4(source);
                    let control = [ControlMessage::Ipv4PacketInfo(&info)];
                    sendmsg(fd, parts, &control, none, Some(&SockaddrIn::from(peer)))
                }
                (SocketAddr::V6(peer), Some(IpAddr::V6(source))) => {
                    let info = packet_info_v6(source);
                    let control = [ControlMessage::Ipv6PacketInfo(&info)];
                    sendmsg(fd, parts, &control, none, Some(&SockaddrIn6::from(peer)))
                }
                (SocketAddr::V4(peer), _) => {
                    sendmsg(fd, parts, &[], none, Some(&SockaddrIn::from(peer)))
                }
                (SocketAddr::V6(peer), _) => {
                    sendmsg(fd, parts, &[], none, Some(&SockaddrIn6::from(peer)))
                }
            };
            sent.map(drop).map_err(io::Error::from)
        })
    }
}

fn destination(messages: impl Iterator<Item = ControlMessageOwned>) -> Option<IpAddr> {
    for message in messages {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
            return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
        }
        if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
            return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
        }
    }
    None
}

fn packet_info_v4(source: Ipv4Addr) -> in_pktinfo {
    let none = in_addr { s_addr: 0 };
    let source = in_addr { s_addr: u32::from(source).to_be() };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none }
}

const fn packet_info_v6(source: Ipv6Addr) -> in6_pktinfo {
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn payload(head: &str, body: Option<&str>) -> Payload {
        let body = body.map(|body| Arc::from(body.as_bytes()));
        Payload { body, ..Payload::whole(head.as_bytes()) }
    }

    async fn received(listener: &UdpListener, buffer: &mut [u8]) -> Received {
        loop {
            std::future::poll_fn(|cx| listener.poll_readable(cx)).await.unwrap();
            if let Some(received) = listener.receive(buffer).unwrap() {
                return received;
            }
        }
    }

    async fn echo(bind: &str, connect: &str) {
        let mut listener = UdpListener::bind(bind.parse().unwrap()).unwrap();
        let peer = std::net::UdpSocket::bind(SocketAddr::new(connect.parse().unwrap(), 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let target = SocketAddr::new(connect.parse().unwrap(), listener.local().port());
        peer.connect(target).unwrap();
        peer.send(b"hello").unwrap();
        let mut buffer = vec![0; DATAGRAM_BYTES];
        let got = received(&listener, &mut buffer).await;
        assert_eq!(&buffer[..got.length], b"hello");
        assert_eq!(got.peer, peer.local_addr().unwrap());
        assert_eq!(got.local, target);
        assert!(listener.serves(got.local) && listener.reaches(got.peer));
        // A connected socket takes the answer only if it comes from where the question went.
        let sent = listener.send(got.peer, Some(got.local.ip()), payload("he", Some("ad")), None);
        assert_eq!(sent, Sent::Taken);
        let length = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"head");
    }

    #[tokio::test]
    async fn an_answer_leaves_from_the_address_that_was_asked() {
        echo("127.0.0.1:0", "127.0.0.1").await;
        echo("0.0.0.0:0", "127.0.0.2").await;
        echo("[::1]:0", "::1").await;
        echo("[::]:0", "::1").await;
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_is_refused() {
        let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.socket.writable().await.unwrap();
        let huge = "x".repeat(DATAGRAM_BYTES);
        let peer = listener.local();
        assert_eq!(listener.send(peer, None, payload(&huge, None), None), Sent::Refused);
        assert!(!listener.reaches("[::1]:5060".parse().unwrap()));
    }
}
