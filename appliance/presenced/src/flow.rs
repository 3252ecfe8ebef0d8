//! One stream connection (TCP or TLS): framing in, a bounded queue out, and the limits that keep
//! a slow, silent or dead peer from costing anybody else. RFC 3261 §18.3, RFC 5626 §4.4.1.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use presence::output::{Payload, Ticket};
use sip::flow::{ConnectionId, Flow};
use sip::framing::{Frame, StreamFramer};
use sip::parse::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::server_task::Input;

/// Messages that may wait for one peer.
const QUEUE_MESSAGES: usize = 2_048;
/// Bytes that may wait for one peer.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes gathered for one write.
const WRITE_BYTES: usize = 32 * 1024;
/// Bytes taken by one read.
const READ_BYTES: usize = 8 * 1024;
/// Write buffer kept while there is nothing to write.
const IDLE_BUFFER_BYTES: usize = 1024;
/// How long a peer may take to send its first message, or the rest of one.
const MESSAGE_WITHIN: Duration = Duration::from_secs(32);
/// How long a peer may take nothing of what is written to it.
const WRITE_WITHIN: Duration = Duration::from_secs(32);
/// How long a flow may be silent; the longest keep-alives and refreshes are shorter.
const IDLE_FOR: Duration = Duration::from_secs(2 * 3_600);
/// How long the answer to bytes that are no SIP may take, before the connection is closed.
const LINGER_FOR: Duration = Duration::from_secs(2);
/// How often the limits are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(8);

/// Numbers connections; numbers of an earlier run never come again, because flows are kept over
/// restarts and must not be mistaken for a new connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionIds(Arc<AtomicU64>);

impl ConnectionIds {
    /// Starts at a place that no other run uses.
    pub(crate) fn start(random: u32) -> Self {
        let first = (u64::from(random) << 32) | 1;
        Self(Arc::new(AtomicU64::new(first)))
    }

    /// A new one.
    pub(crate) fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A message on its way to one peer.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) payload: Payload,
    pub(crate) on_failure: Option<Ticket>,
}

/// The server's end of a flow.
#[derive(Debug)]
pub(crate) struct FlowHandle {
    queue: mpsc::Sender<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The flow's end of the queue.
#[derive(Debug)]
pub(crate) struct FlowQueue {
    queue: mpsc::Receiver<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The two ends of a flow's queue.
pub(crate) fn queue() -> (FlowHandle, FlowQueue) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    (
        FlowHandle { queue: sender, waiting_bytes: Arc::clone(&waiting_bytes) },
        FlowQueue { queue: receiver, waiting_bytes },
    )
}

impl FlowHandle {
    /// Queues a message; false when the peer is too far behind or gone.
    pub(crate) fn send(&self, payload: Payload, on_failure: Option<Ticket>) -> bool {
        let bytes = payload_bytes(&payload);
        if self.waiting_bytes.load(Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES {
            return false;
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.try_send(Outgoing { payload, on_failure }).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl FlowQueue {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let next = ready!(self.queue.poll_recv(context));
        if let Some(outgoing) = &next {
            self.waiting_bytes.fetch_sub(payload_bytes(&outgoing.payload), Ordering::Relaxed);
        }
        Poll::Ready(next)
    }

    /// The next message; none once the server has let go of the flow.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Takes no more, and gives the tickets of everything that still waits.
    pub(crate) fn close(&mut self) -> Vec<Ticket> {
        self.queue.close();
        let mut tickets = Vec::new();
        while let Ok(outgoing) = self.queue.try_recv() {
            tickets.extend(outgoing.on_failure);
        }
        tickets
    }
}

fn payload_bytes(payload: &Payload) -> usize {
    payload.head.len() + payload.body.as_ref().map_or(0, |body| body.len())
}

/// Why a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed it.
    ByPeer,
    /// We closed it.
    ByUs,
    /// The connection failed.
    Failed,
    /// The peer's bytes are no SIP.
    Unframeable,
    /// The peer was silent, or stopped reading, for too long.
    TooSlow,
}

/// Serves one established connection until it ends, then reports what was not sent.
pub(crate) async fn serve<S>(
    stream: S,
    flow: Flow,
    queue: &mut FlowQueue,
    limits: Limits,
    inputs: &mpsc::Sender<Input>,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection::new(stream, limits);
    let ended = connection.run(flow, queue, inputs).await;
    let mut unsent: Vec<_> = connection.unwritten.iter().map(|(_, ticket)| *ticket).collect();
    unsent.extend(queue.close());
    if !unsent.is_empty() {
        // The server always takes its inputs; it ends only with the process.
        let _ = inputs.send(Input::Unsent(unsent)).await;
    }
    tracing::debug!(%flow, ?ended, "a connection ended");
    ended
}

struct Connection<S> {
    stream: S,
    framer: StreamFramer,
    out: Vec<u8>,
    written: usize,
    /// Where in the stream, counted from its beginning, messages end whose failure is asked for.
    unwritten: VecDeque<(u64, Ticket)>,
    total_queued: u64,
    total_written: u64,
    is_flushing: bool,
    is_closing: bool,
    /// Nothing is read any more; the server may still answer what came last.
    is_deaf: bool,
    has_spoken: bool,
    last_read: Instant,
    last_frame: Instant,
    last_write: Instant,
}

enum Step {
    Read,
    Check,
    Again,
    Ended(Ended),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            stream,
            framer: StreamFramer::new(limits),
            out: Vec::new(),
            written: 0,
            unwritten: VecDeque::new(),
            total_queued: 0,
            total_written: 0,
            is_flushing: false,
            is_closing: false,
            is_deaf: false,
            has_spoken: false,
            last_read: now,
            last_frame: now,
            last_write: now,
        }
    }

    async fn run(
        &mut self,
        flow: Flow,
        queue: &mut FlowQueue,
        inputs: &mpsc::Sender<Input>,
    ) -> Ended {
        let mut check = pin!(tokio::time::sleep(CHECK_EVERY));
        loop {
            match poll_fn(|context| self.poll_step(context, queue, check.as_mut())).await {
                Step::Again => {}
                Step::Ended(ended) => return ended,
                Step::Check if self.is_deaf => return Ended::Unframeable,
                Step::Check => {
                    let now = Instant::now();
                    if self.is_too_slow(now) {
                        return Ended::TooSlow;
                    }
                    check.as_mut().reset(now + CHECK_EVERY);
                }
                Step::Read => loop {
                    match self.framer.next() {
                        Ok(None) => break,
                        Ok(Some(Frame::Message(bytes))) => {
                            self.note_frame();
                            // Waiting here is the back-pressure on the peer.
                            if inputs.send(Input::Message { flow, bytes }).await.is_err() {
                                return Ended::ByUs;
                            }
                        }
                        Ok(Some(Frame::Ping)) => {
                            self.note_frame();
                            self.push(b"\r\n");
                        }
                        Ok(Some(Frame::Pong)) => self.note_frame(),
                        Err(error) => {
                            tracing::debug!(%flow, %error, "a stream cannot be cut into messages");
                            self.is_deaf = true;
                            check.as_mut().reset(Instant::now() + LINGER_FOR);
                            break;
                        }
                    }
                },
            }
        }
    }

    fn note_frame(&mut self) {
        self.has_spoken = true;
        self.last_frame = Instant::now();
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.out.is_empty() {
            self.last_write = Instant::now();
        }
        self.out.extend_from_slice(bytes);
        self.total_queued = self.total_queued.saturating_add(bytes.len() as u64);
    }

    fn is_too_slow(&self, now: Instant) -> bool {
        let is_mid_message = !self.has_spoken || self.framer.is_mid_message();
        let is_writing = !self.out.is_empty() || self.is_flushing;
        (is_mid_message && now.duration_since(self.last_frame) > MESSAGE_WITHIN)
            || (is_writing && now.duration_since(self.last_write) > WRITE_WITHIN)
            || now.duration_since(self.last_read.max(self.last_write)) > IDLE_FOR
    }

    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        queue: &mut FlowQueue,
        check: Pin<&mut Sleep>,
    ) -> Poll<Step> {
        let mut is_queue_left = true;
        for _ in 0..4 {
            self.take_from_queue(context, queue);
            if self.out.is_empty() && !self.is_flushing {
                is_queue_left = false;
                break;
            }
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(ended)) => return Poll::Ready(Step::Ended(ended)),
                Poll::Pending => {
                    is_queue_left = false;
                    break;
                }
            }
        }
        if self.is_closing && self.out.is_empty() && !self.is_flushing {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
            return Poll::Ready(Step::Ended(Ended::ByUs));
        }
        if !self.is_deaf
            && let Poll::Ready(step) = self.poll_read(context)
        {
            return Poll::Ready(step);
        }
        if check.poll(context).is_ready() {
            return Poll::Ready(Step::Check);
        }
        if is_queue_left { Poll::Ready(Step::Again) } else { Poll::Pending }
    }

    fn take_from_queue(&mut self, context: &mut Context<'_>, queue: &mut FlowQueue) {
        while self.out.len() < WRITE_BYTES && !self.is_closing {
            match queue.poll(context) {
                Poll::Ready(Some(outgoing)) => {
                    self.push(&outgoing.payload.head);
                    if let Some(body) = &outgoing.payload.body {
                        self.push(body);
                    }
                    if let Some(ticket) = outgoing.on_failure {
                        self.unwritten.push_back((self.total_queued, ticket));
                    }
                }
                Poll::Ready(None) => self.is_closing = true,
                Poll::Pending => return,
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Ended::Failed)),
                Ok(count) => {
                    self.written += count;
                    self.total_written = self.total_written.saturating_add(count as u64);
                    self.last_write = Instant::now();
                    self.is_flushing = true;
                    while self.unwritten.front().is_some_and(|(end, _)| *end <= self.total_written)
                    {
                        self.unwritten.pop_front();
                    }
                }
            }
        }
        self.written = 0;
        self.out.clear();
        if self.out.capacity() > IDLE_BUFFER_BYTES {
            self.out = Vec::new();
            self.unwritten.shrink_to_fit();
        }
        match ready!(Pin::new(&mut self.stream).poll_flush(context)) {
            Ok(()) => {
                self.is_flushing = false;
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(Ended::Failed)),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        // On the stack, so that an idle flow keeps no buffer.
        let mut room = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut room);
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
            Err(_) => Step::Ended(Ended::Failed),
            Ok(()) if buffer.filled().is_empty() => Step::Ended(Ended::ByPeer),
            Ok(()) => {
                let now = Instant::now();
                if !self.framer.is_mid_message() {
                    self.last_frame = now;
                }
                self.last_read = now;
                self.framer.push(buffer.filled());
                Step::Read
            }
        })
    }
}

#[cfg(test)]
mod tests;
