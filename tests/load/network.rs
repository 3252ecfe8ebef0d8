//! The generator's end of the network: its sockets, waited for together.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};

/// Sockets that are looked at after one wait.
const READY: usize = 512;

/// Sockets on ports of their own that talk to one server only.
pub struct Network {
    links: Vec<(UdpSocket, SocketAddr)>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Network {
    /// Opens so many sockets.
    pub fn open(count: usize, server: SocketAddr) -> io::Result<Self> {
        allow_descriptors();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let links = (0..count).map(|index| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let bytes = 16 * 1024 * 1024;
            if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
                // Without privilege the kernel cuts this down to its own limit.
                let _ = setsockopt(&socket, sockopt::RcvBuf, &bytes);
            }
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            let local = socket.local_addr()?;
            Ok((socket, local))
        });
        let links = links.collect::<io::Result<_>>()?;
        Ok(Self { links, epoll, events: vec![EpollEvent::empty(); READY] })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// Where a socket is bound.
    pub fn local(&self, link: usize) -> SocketAddr {
        self.links[link].1
    }

    /// Takes what has arrived at a socket.
    pub fn receive(&self, link: usize, buffer: &mut [u8]) -> Option<usize> {
        // A refused datagram reports an error here; the transaction's own timers see to it.
        self.links[link].0.recv(buffer).ok()
    }

    /// Sends; false when the kernel had no room.
    pub fn send(&self, link: usize, bytes: &[u8]) -> bool {
        self.links[link].0.send(bytes).is_ok()
    }

    /// Waits until something arrives, at most for `limit`; at how many sockets it has.
    pub fn wait(&mut self, limit: Duration) -> usize {
        let limit = EpollTimeout::try_from(limit.max(Duration::from_millis(1)));
        // Interrupted or not, the caller looks at its clock next.
        self.epoll.wait(&mut self.events, limit.unwrap_or(EpollTimeout::ZERO)).unwrap_or(0)
    }

    /// One of the sockets at which the last wait found something.
    pub fn ready(&self, index: usize) -> usize {
        self.events[index].data() as usize
    }
}

/// Raises the number of open files to what this process may have.
fn allow_descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What is allowed is allowed; what is missing shows when sockets are opened.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
