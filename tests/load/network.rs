//! The generator's end of the network: its sockets and connections, waited for together.

pub mod stream;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use rustls::ClientConfig;

use stream::Stream;

/// Sockets that are looked at after one wait.
const READY: usize = 512;

/// How SIP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// Connections.
    Tcp,
    /// Connections under TLS.
    Tls,
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Udp, Self::Tcp, Self::Tls];
        let found = all.into_iter().find(|t| t.name() == text);
        found.ok_or_else(|| format!("there is no transport {text}"))
    }
}

impl Transport {
    /// Its name in settings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Its name in Via.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The parameter of a URI that names it.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}

enum Way {
    Datagrams(UdpSocket),
    Stream(Box<Stream>),
}

impl AsFd for Way {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagrams(socket) => socket.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
        }
    }
}

/// Sockets on ports of their own, or connections, that lead to one server only.
pub struct Network {
    transport: Transport,
    links: Vec<(Way, SocketAddr)>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    scratch: Vec<u8>,
    closed: usize,
}

impl Network {
    /// Opens so many.
    pub fn open(transport: Transport, count: usize, server: SocketAddr) -> io::Result<Self> {
        allow_descriptors();
        let tls = (transport == Transport::Tls).then(|| lamplight_tests::wire::tls::config().0);
        let mut network = Self {
            transport,
            links: Vec::with_capacity(count),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); READY],
            scratch: vec![0; 65_536],
            closed: 0,
        };
        for _ in 0..count {
            network.add(tls.as_ref(), server)?;
        }
        Ok(network)
    }

    fn add(&mut self, tls: Option<&Arc<ClientConfig>>, server: SocketAddr) -> io::Result<()> {
        let (way, local) = match self.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                let bytes = 16 * 1024 * 1024;
                if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
                    // Without privilege the kernel cuts this down to its own limit.
                    let _ = setsockopt(&socket, sockopt::RcvBuf, &bytes);
                }
                socket.connect(server)?;
                socket.set_nonblocking(true)?;
                let local = socket.local_addr()?;
                (Way::Datagrams(socket), local)
            }
            Transport::Tcp | Transport::Tls => {
                let (stream, local) = Stream::connect(server, tls)?;
                (Way::Stream(Box::new(stream)), local)
            }
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.links.len() as u64);
        self.epoll.add(&way, event)?;
        self.links.push((way, local));
        Ok(())
    }

    /// How SIP is carried.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// Our address of one.
    pub fn local(&self, link: usize) -> SocketAddr {
        self.links[link].1
    }

    /// Takes a message that has arrived.
    pub fn receive(&mut self, link: usize, buffer: &mut [u8]) -> Option<usize> {
        let way = &mut self.links[link].0;
        match way {
            // A refused datagram reports an error here; the transaction's timers see to it.
            Way::Datagrams(socket) => socket.recv(buffer).ok(),
            Way::Stream(stream) => {
                let length = stream.receive(&mut self.scratch, buffer);
                if length.is_none() && stream.has_closed() {
                    self.closed += 1;
                    // It would be reported for ever.
                    let _ = self.epoll.delete(way);
                }
                length
            }
        }
    }

    /// Sends; false when that cannot be.
    pub fn send(&mut self, link: usize, bytes: &[u8]) -> bool {
        let is_done = match &mut self.links[link].0 {
            Way::Datagrams(socket) => return socket.send(bytes).is_ok(),
            Way::Stream(stream) => stream.send(bytes),
        };
        self.watch(link, is_done)
    }

    /// Waits for room, too, where something is left to be sent.
    fn watch(&mut self, link: usize, is_done: io::Result<bool>) -> bool {
        let Ok(is_done) = is_done else { return false };
        let Way::Stream(stream) = &mut self.links[link].0 else { return true };
        if stream.waits_for_room == is_done {
            stream.waits_for_room = !is_done;
            let room = if is_done { EpollFlags::empty() } else { EpollFlags::EPOLLOUT };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | room, link as u64);
            return self.epoll.modify(&self.links[link].0, &mut event).is_ok();
        }
        true
    }

    /// Waits until something arrives, at most for `limit`; at how many it may have.
    pub fn wait(&mut self, limit: Duration) -> usize {
        let limit = EpollTimeout::try_from(limit.max(Duration::from_millis(1)));
        // Interrupted or not, the caller looks at its clock next.
        let count = self.epoll.wait(&mut self.events, limit.unwrap_or(EpollTimeout::ZERO));
        let count = count.unwrap_or(0);
        for index in 0..count {
            let event = self.events[index];
            let link = event.data() as usize;
            if event.events().contains(EpollFlags::EPOLLOUT)
                && let Way::Stream(stream) = &mut self.links[link].0
            {
                let is_done = stream.flush();
                self.watch(link, is_done);
            }
        }
        count
    }

    /// One of those that the last wait found.
    pub fn ready(&self, index: usize) -> usize {
        self.events[index].data() as usize
    }

    /// How many connections the server has closed since this was asked last.
    pub fn take_closed(&mut self) -> usize {
        std::mem::take(&mut self.closed)
    }
}

/// Raises the number of open files to what this process may have.
pub fn allow_descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What is allowed is allowed; what is missing shows when sockets are opened.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
