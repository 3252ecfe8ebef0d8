//! A blocking client with deadlines.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::framing::{LineFramer, LineTooLong};
use crate::refusal::Refusal;
use crate::wire::{self, DecodeFailure, Question};

/// How often a waiting client looks whether it is still to wait.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a daemon may take to accept a connection, and to take a request in.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// The daemon will not or cannot do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody listens.
    #[error("no connection to {socket}")]
    Unreachable {
        /// On which socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon took too long; what was asked may still be done.
    #[error("no answer on {socket} within {} seconds", waited.as_secs())]
    TimedOut {
        /// On which socket.
        socket: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The asker gave up waiting; what was asked may still be done.
    #[error("cancelled while waiting for the answer on {socket}")]
    Cancelled {
        /// On which socket.
        socket: PathBuf,
    },
    /// The connection ended before the answer; what was asked may have been done.
    #[error("the connection to {socket} ended before the answer")]
    Broken {
        /// On which socket.
        socket: PathBuf,
        /// Why, when it did not just end.
        #[source]
        source: Option<io::Error>,
    },
    /// The answer cannot be understood.
    #[error("the answer on {socket} cannot be read")]
    Unreadable {
        /// On which socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: DecodeFailure,
    },
    /// The answer is longer than the protocol allows.
    #[error("the answer on {socket} is too long")]
    TooLong {
        /// On which socket.
        socket: PathBuf,
        /// How long it may be.
        #[source]
        source: LineTooLong,
    },
}

/// A connection to a daemon. After any failure but `Refused` it must not be used again.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    framer: LineFramer,
    socket: PathBuf,
}

impl Client {
    /// Connects to the daemon's socket.
    ///
    /// # Errors
    /// [`AskFailure::Unreachable`].
    pub fn connect(socket: &Path) -> Result<Self, AskFailure> {
        let unreachable = |source| AskFailure::Unreachable { socket: socket.to_path_buf(), source };
        let address = SockAddr::unix(socket).map_err(unreachable)?;
        let raw = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(unreachable)?;
        // On Linux the send timeout also bounds a connect to a socket whose backlog is full.
        raw.set_write_timeout(Some(CONNECT_WITHIN)).map_err(unreachable)?;
        raw.connect(&address).map_err(unreachable)?;
        Ok(Self {
            stream: UnixStream::from(std::os::fd::OwnedFd::from(raw)),
            framer: LineFramer::new(),
            socket: socket.to_path_buf(),
        })
    }

    /// Puts a question and waits for its answer, as long as the question's kind may take.
    ///
    /// # Errors
    /// [`AskFailure`].
    pub fn ask<Q: Question>(&mut self, request: &Q) -> Result<Q::Answer, AskFailure> {
        self.ask_while(request, request.answer_within(), &mut || true)
    }

    /// Puts a question and waits for its answer this long, and only while `is_wanted` says so;
    /// it is asked some ten times a second.
    ///
    /// # Errors
    /// [`AskFailure`].
    pub fn ask_while<Q: Question>(
        &mut self,
        request: &Q,
        within: Duration,
        is_wanted: &mut dyn FnMut() -> bool,
    ) -> Result<Q::Answer, AskFailure> {
        let line = wire::encode_request(request)?;
        let asked = Instant::now();
        match self.stream.write_all(&line) {
            // A daemon that turns the caller away says so without reading on: its word counts
            // for more than that the request did not get through.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent.map_err(|source| self.failed(source, CONNECT_WITHIN))?,
        }
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match self.framer.next_line() {
                Ok(Some(line)) => {
                    let reply = wire::decode_reply(&line).map_err(|source| {
                        AskFailure::Unreadable { socket: self.socket.clone(), source }
                    })?;
                    return reply.map_err(AskFailure::from);
                }
                Ok(None) => {}
                Err(source) => {
                    return Err(AskFailure::TooLong { socket: self.socket.clone(), source });
                }
            }
            let left = within.saturating_sub(asked.elapsed());
            if left.is_zero() {
                return Err(AskFailure::TimedOut { socket: self.socket.clone(), waited: within });
            }
            if !is_wanted() {
                return Err(AskFailure::Cancelled { socket: self.socket.clone() });
            }
            self.stream
                .set_read_timeout(Some(left.min(LOOK_EVERY)))
                .map_err(|source| self.failed(source, within))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(AskFailure::Broken { socket: self.socket.clone(), source: None });
                }
                Ok(count) => self.framer.push(chunk.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted
                            | io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(self.failed(error, within)),
            }
        }
    }

    fn failed(&self, error: io::Error, waited: Duration) -> AskFailure {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                AskFailure::TimedOut { socket, waited }
            }
            _ => AskFailure::Broken { socket, source: Some(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::thread;
    use std::time::Duration;

    use super::{AskFailure, Client};
    use crate::answer::Answer;
    use crate::framing::LineFramer;
    use crate::refusal::{Refusal, RefusalCode};
    use crate::request::Request;
    use crate::wire::{decode_request, encode_reply};

    /// Runs `serve` on the first connection.
    fn daemon(
        serve: impl FnOnce(UnixStream) + Send + 'static,
    ) -> (tempfile::TempDir, PathBuf, thread::JoinHandle<()>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = thread::spawn(move || serve(listener.accept().unwrap().0));
        (dir, path, thread)
    }

    fn read_request(stream: &mut UnixStream, framer: &mut LineFramer) -> Request {
        let mut chunk = [0; 3];
        loop {
            if let Some(line) = framer.next_line().unwrap() {
                return decode_request(&line).unwrap();
            }
            let count = stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0);
            framer.push(&chunk[..count]);
        }
    }

    #[test]
    fn answers_and_refusals_come_in_order_on_one_connection() {
        let (_dir, path, thread) = daemon(|mut stream| {
            let mut framer = LineFramer::new();
            assert_eq!(read_request(&mut stream, &mut framer), Request::ShowAlarms);
            for byte in encode_reply(&Ok(Answer::Alarms(Vec::new()))) {
                stream.write_all(&[byte]).unwrap();
            }
            assert_eq!(read_request(&mut stream, &mut framer), Request::ShowStatus);
            let refusal = Refusal::new(RefusalCode::Busy, "busy", "here", "wait");
            stream.write_all(&encode_reply::<Answer>(&Err(refusal))).unwrap();
        });
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.ask(&Request::ShowAlarms).unwrap(), Answer::Alarms(Vec::new()));
        let failure = client.ask(&Request::ShowStatus).unwrap_err();
        assert!(matches!(failure, AskFailure::Refused(refusal) if refusal.what == "busy"));
        thread.join().unwrap();
    }

    #[test]
    fn a_daemon_that_turns_the_caller_away_is_heard() {
        let (_dir, path, thread) = daemon(|mut stream| {
            let refusal = Refusal::new(RefusalCode::NotPermitted, "not you", "here", "leave");
            stream.write_all(&encode_reply::<Answer>(&Err(refusal))).unwrap();
        });
        let mut client = Client::connect(&path).unwrap();
        // Now the request meets a closed connection.
        thread.join().unwrap();
        let failure = client.ask(&Request::ShowStatus).unwrap_err();
        assert!(matches!(failure, AskFailure::Refused(refusal) if refusal.what == "not you"));
    }

    #[test]
    fn nobody_there_is_unreachable() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Client::connect(&dir.path().join("none.sock")).unwrap_err();
        assert!(matches!(failure, AskFailure::Unreachable { .. }));
        let too_long = dir.path().join("x".repeat(200));
        assert!(matches!(Client::connect(&too_long), Err(AskFailure::Unreachable { .. })));
    }

    #[test]
    fn a_daemon_that_leaves_or_talks_nonsense_or_stays_silent_is_told_apart() {
        let (_dir, path, thread) = daemon(drop);
        let failure = Client::connect(&path).unwrap().ask(&Request::ShowStatus).unwrap_err();
        assert!(matches!(failure, AskFailure::Broken { .. }));
        thread.join().unwrap();

        let (_dir, path, thread) = daemon(|mut stream| {
            let _ = stream.write_all(b"hello\n");
            let _ = stream.read(&mut [0; 1024]);
        });
        let failure = Client::connect(&path).unwrap().ask(&Request::ShowStatus).unwrap_err();
        assert!(matches!(failure, AskFailure::Unreadable { .. }));
        thread.join().unwrap();

        let (_dir, path, thread) = daemon(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut client = Client::connect(&path).unwrap();
        let failure =
            client.ask_while(&Request::ShowStatus, Duration::from_millis(50), &mut || true);
        assert!(matches!(failure.unwrap_err(), AskFailure::TimedOut { .. }));
        let failure = client.ask_while(&Request::ShowStatus, Duration::MAX, &mut || false);
        assert!(matches!(failure.unwrap_err(), AskFailure::Cancelled { .. }));
        drop(client);
        thread.join().unwrap();
    }
}
