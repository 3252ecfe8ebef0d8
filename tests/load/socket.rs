//! The generator's UDP sockets: connected, never waited for one by one.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

/// A few sockets, shared by all watchers.
pub struct Sockets {
    sockets: Vec<(UdpSocket, SocketAddr)>,
}

impl Sockets {
    /// Opens sockets on ports of their own that talk to `server` only.
    pub fn open(count: usize, server: SocketAddr) -> io::Result<Self> {
        let sockets = (0..count).map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let bytes = 16 * 1024 * 1024;
            if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
                // Without privilege the kernel cuts this down to its own limit.
                let _ = setsockopt(&socket, sockopt::RcvBuf, &bytes);
            }
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            let local = socket.local_addr()?;
            Ok((socket, local))
        });
        Ok(Self { sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// Where a socket is bound.
    pub fn local(&self, index: usize) -> SocketAddr {
        self.sockets[index].1
    }

    /// Takes what has arrived at a socket.
    pub fn receive(&self, index: usize, buffer: &mut [u8]) -> Option<usize> {
        // A refused datagram reports an error here; the transaction's own timers see to it.
        self.sockets[index].0.recv(buffer).ok()
    }

    /// Sends; false when the kernel had no room.
    pub fn send(&self, index: usize, bytes: &[u8]) -> bool {
        self.sockets[index].0.send(bytes).is_ok()
    }

    /// Waits until something arrives, at most for `limit`.
    pub fn wait(&self, limit: Duration) {
        let of = |socket| PollFd::new(socket, PollFlags::POLLIN);
        let mut all: Vec<_> = self.sockets.iter().map(|(s, _)| of(s.as_fd())).collect();
        let limit = PollTimeout::try_from(limit.max(Duration::from_millis(1)));
        // Interrupted or not, the caller looks at the sockets and at its clock next.
        let _ = poll(&mut all, limit.unwrap_or(PollTimeout::ZERO));
    }
}
