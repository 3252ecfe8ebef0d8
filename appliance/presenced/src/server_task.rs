//! The one task that owns the server: takes datagrams, framed messages and answers in, and
//! carries out what the server wants, in order. Nothing here waits for a peer or for the disk.

mod sending;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use presence::command::{Answer, Command};
use presence::config::AddressBlock;
use presence::counters::Counters;
use presence::output::{Output, SaveSequence, Ticket};
use presence::server::Server;
use sip::clock::{Instant, Now};
use sip::digest::Algorithm;
use sip::flow::{ConnectionId, Flow, Hop, Transport};
use sip::locate::Target;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use self::sending::{Held, STORE_WITHIN};
use crate::alarm::{AlarmKind, Alarms};
use crate::clock::Clock;
use crate::flow::FlowHandle;
use crate::listener::tcp::Connector;
use crate::listener::udp::{DATAGRAM_BYTES, Received, UdpListener};
use crate::store_task::{StoreEvent, StoreQueue};

/// Inputs that may wait for the server.
pub(crate) const INPUT_QUEUE: usize = 4_096;
/// Datagrams taken from one socket before others have their turn.
const DATAGRAMS_A_TURN: usize = 64;
/// Inputs taken before others have their turn.
const INPUTS_A_TURN: usize = 256;
/// Commands that may be under way.
const COMMANDS: usize = 1_024;
/// How long stopping waits for the disk.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Something for the server.
#[derive(Debug)]
pub(crate) enum Input {
    /// A peer has connected.
    Opened {
        /// The flow.
        flow: Flow,
        /// Our end of its queue.
        handle: FlowHandle,
    },
    /// One message from a stream.
    Message {
        /// The flow that it came over.
        flow: Flow,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A connection is gone.
    Closed(ConnectionId),
    /// Messages that a connection could not send.
    Unsent(Vec<Ticket>),
    /// The answer to a location.
    Located {
        /// The question's ticket.
        ticket: Ticket,
        /// What was found, best first.
        hops: Vec<Hop>,
    },
    /// The store has got on, or fails.
    Store(StoreEvent),
    /// An administrator wants something.
    Command {
        /// What.
        command: Command,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Other peers are exempt from digest, or others are offered other algorithms.
    Access {
        /// Peers exempt from digest.
        trusted: Vec<AddressBlock>,
        /// Algorithms, most preferred first.
        digest: Vec<Algorithm>,
        /// Told once that holds.
        done: oneshot::Sender<()>,
    },
    /// Somebody wants the counts.
    Observe(oneshot::Sender<Observation>),
    /// Send what waits for the disk once it is there, and end.
    Stop,
}

/// A question to the resolver.
#[derive(Debug)]
pub(crate) struct Locate {
    /// Returned with the answer.
    pub(crate) ticket: Ticket,
    /// What to locate.
    pub(crate) target: Target,
}

/// What the task itself counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeCounters {
    /// Datagrams received.
    pub(crate) datagrams_in: u64,
    /// Messages received over streams.
    pub(crate) stream_messages_in: u64,
    /// Datagrams sent.
    pub(crate) datagrams_out: u64,
    /// Messages queued to streams.
    pub(crate) stream_messages_out: u64,
    /// Messages dropped because the way to the peer was full.
    pub(crate) dropped_full: u64,
    /// Messages that had no way to the peer.
    pub(crate) undeliverable: u64,
    /// Answers sent before their state was on disk, because the disk was slow or failed.
    pub(crate) released_early: u64,
    /// Failures of the program that were contained.
    pub(crate) contained_failures: u64,
}

/// The counts, with how things stand.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    /// The server's.
    pub(crate) server: Counters,
    /// This task's.
    pub(crate) edge: EdgeCounters,
    /// Messages that wait for the disk.
    pub(crate) held: usize,
    /// Open flows.
    pub(crate) flows: usize,
}

/// What the task is made of.
pub(crate) struct Parts {
    /// The server, with its users and subscriptions.
    pub(crate) server: Server,
    /// The clock that its restoring used.
    pub(crate) clock: Clock,
    /// The UDP listeners.
    pub(crate) udp: Vec<UdpListener>,
    /// Its inputs.
    pub(crate) inputs: mpsc::Receiver<Input>,
    /// Makes connections.
    pub(crate) connector: Connector,
    /// Answers locations.
    pub(crate) resolver: mpsc::Sender<Locate>,
    /// Writes state.
    pub(crate) store: StoreQueue,
    /// Alarms.
    pub(crate) alarms: Alarms,
}

struct ServerTask {
    server: Server,
    clock: Clock,
    now: Now,
    udp: Vec<UdpListener>,
    connector: Connector,
    flows: HashMap<ConnectionId, OpenFlow>,
    by_peer: HashMap<Hop, ConnectionId>,
    resolver: mpsc::Sender<Locate>,
    store: StoreQueue,
    alarms: Alarms,
    held: VecDeque<Held>,
    last_sequence: SaveSequence,
    durable: SaveSequence,
    is_store_failed: bool,
    answers: HashMap<Ticket, oneshot::Sender<Answer>>,
    last_command: u64,
    failed: Vec<Ticket>,
    undone: Vec<Ticket>,
    unlocated: Vec<Ticket>,
    counters: EdgeCounters,
    is_stopping: bool,
}

struct OpenFlow {
    handle: FlowHandle,
    hop: Hop,
}

/// What woke the task.
#[derive(Default)]
struct Woken {
    readable: u64,
    writable: bool,
    inputs: bool,
    timer: bool,
}

/// Serves until told to stop.
pub(crate) async fn run(parts: Parts) {
    let mut inputs = parts.inputs;
    let mut task = ServerTask {
        now: parts.clock.now(),
        server: parts.server,
        clock: parts.clock,
        udp: parts.udp,
        connector: parts.connector,
        flows: HashMap::new(),
        by_peer: HashMap::new(),
        resolver: parts.resolver,
        store: parts.store,
        alarms: parts.alarms,
        held: VecDeque::new(),
        last_sequence: SaveSequence::default(),
        durable: SaveSequence::default(),
        is_store_failed: false,
        answers: HashMap::new(),
        last_command: 0,
        failed: Vec::new(),
        undone: Vec::new(),
        unlocated: Vec::new(),
        counters: EdgeCounters::default(),
        is_stopping: false,
    };
    task.contained(|task| task.drain());
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut batch = Vec::with_capacity(INPUTS_A_TURN);
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut armed = None;
    let mut stop_at = None;
    loop {
        if task.is_stopping {
            let stop_at = *stop_at.get_or_insert_with(|| task.now.monotonic + STOP_WITHIN);
            let is_written = task.durable >= task.last_sequence || task.is_store_failed;
            if (task.held.is_empty() && is_written) || task.now.monotonic >= stop_at {
                return;
            }
        }
        task.arm(timer.as_mut(), &mut armed, stop_at);
        let woken = poll_fn(|context| {
            let mut woken = Woken::default();
            task.poll_sockets(context, &mut woken);
            // Waiting inputs are looked at in every turn, so a flood of datagrams starves nobody.
            match inputs.poll_recv_many(context, &mut batch, INPUTS_A_TURN) {
                Poll::Ready(_) => woken.inputs = true,
                Poll::Pending => {}
            }
            if armed.is_some() && timer.as_mut().poll(context).is_ready() {
                woken.timer = true;
            }
            let is_woken = woken.readable != 0 || woken.writable || woken.inputs || woken.timer;
            if is_woken { Poll::Ready(woken) } else { Poll::Pending }
        })
        .await;
        task.now = task.clock.now();
        if woken.timer {
            armed = None;
        }
        if woken.writable {
            task.send_backlogs();
        }
        task.take_datagrams(woken.readable, &mut buffer);
        if woken.inputs && batch.is_empty() {
            return;
        }
        for input in batch.drain(..) {
            task.contained(|task| task.take_input(input));
        }
        task.contained(ServerTask::keep_time);
    }
}

impl ServerTask {
    /// A panic inside ends neither the task nor the process; the hook has raised the alarm.
    fn contained(&mut self, work: impl FnOnce(&mut Self)) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.counters.contained_failures += 1;
        }
    }

    fn poll_sockets(&self, context: &mut Context<'_>, woken: &mut Woken) {
        for (index, listener) in self.udp.iter().enumerate() {
            if !self.is_stopping && listener.poll_readable(context).is_ready() {
                woken.readable |= 1_u64.checked_shl(index.try_into().unwrap_or(63)).unwrap_or(0);
            }
            woken.writable |= listener.poll_writable(context).is_ready();
        }
    }

    fn take_datagrams(&mut self, readable: u64, buffer: &mut [u8]) {
        for index in 0..self.udp.len() {
            let bit = 1_u64.checked_shl(index.try_into().unwrap_or(63)).unwrap_or(0);
            if readable & bit == 0 {
                continue;
            }
            for _ in 0..DATAGRAMS_A_TURN {
                let Some(listener) = self.udp.get(index) else { break };
                match listener.receive(buffer) {
                    Ok(None) => break,
                    Ok(Some(received)) => {
                        let bytes = buffer.get(..received.length).unwrap_or_default();
                        self.contained(|task| task.take_datagram(received, bytes));
                    }
                    // An ICMP error of an earlier datagram: nothing is wrong with the socket.
                    Err(error) => tracing::debug!(%error, "a datagram could not be received"),
                }
            }
        }
    }

    fn take_datagram(&mut self, received: Received, bytes: &[u8]) {
        self.counters.datagrams_in += 1;
        // Some phones keep their NAT binding open with a line end or zeros.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let flow = Flow {
            transport: Transport::Udp,
            local: received.local,
            peer: received.peer,
            connection: ConnectionId::default(),
        };
        tracing::trace!(%flow, text = %sending::shown(bytes), "received");
        self.server.handle_message(self.now, flow, bytes);
        self.drain();
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Opened { flow, handle } => {
                let hop = Hop { transport: flow.transport, address: flow.peer };
                self.by_peer.insert(hop, flow.connection);
                self.flows.insert(flow.connection, OpenFlow { handle, hop });
            }
            Input::Message { flow, bytes } => {
                self.counters.stream_messages_in += 1;
                tracing::trace!(%flow, text = %sending::shown(&bytes), "received");
                self.server.handle_message(self.now, flow, &bytes);
            }
            Input::Closed(connection) => {
                self.forget_flow(connection);
                self.server.handle_flow_closed(self.now, connection);
            }
            Input::Unsent(tickets) => self.failed.extend(tickets),
            Input::Located { ticket, hops } => self.server.handle_located(self.now, ticket, hops),
            Input::Store(event) => self.take_store_event(event),
            Input::Command { command, answer } => self.take_command(command, answer),
            Input::Access { trusted, digest, done } => {
                self.server.handle_access(trusted, digest);
                let _ = done.send(());
            }
            Input::Observe(observer) => {
                // Whoever asked may have given up.
                let _ = observer.send(self.observe());
            }
            Input::Stop => self.is_stopping = true,
        }
        self.drain();
    }

    fn take_command(&mut self, command: Command, answer: oneshot::Sender<Answer>) {
        self.answers.retain(|_, answer| !answer.is_closed());
        if self.answers.len() >= COMMANDS {
            // Dropping the sender tells the asker that the node is busy.
            return;
        }
        self.last_command += 1;
        let ticket = Ticket(self.last_command);
        self.answers.insert(ticket, answer);
        self.server.handle_command(self.now, ticket, command);
    }

    fn take_store_event(&mut self, event: StoreEvent) {
        self.is_store_failed = event.is_failed;
        for (ticket, stored) in event.committed {
            self.server.handle_committed(self.now, ticket, stored);
            self.drain();
        }
        if let Some(through) = event.durable
            && through > self.durable
        {
            self.durable = through;
            self.server.handle_durable(self.now, through);
            // What the watermark released goes before what its news brings about.
            self.release_held();
            if self.held.is_empty() {
                self.alarms.clear(AlarmKind::StoreSlow);
            }
        }
        if self.is_store_failed {
            self.release_held();
        }
    }

    fn keep_time(&mut self) {
        if self.release_slow() {
            self.drain();
        }
        if self.server.poll_timeout().is_some_and(|(at, _)| at <= self.now.monotonic) {
            self.server.handle_timeout(self.now);
            self.drain();
        }
    }

    /// Arms the timer only when it would come too late: re-arming costs more than waking early.
    fn arm(&self, timer: Pin<&mut Sleep>, armed: &mut Option<Instant>, stop_at: Option<Instant>) {
        let due = self.server.poll_timeout().map(|(at, _)| at);
        let slow = self.held.front().map(|held| held.since + STORE_WITHIN);
        let Some(next) = [due, slow, stop_at].into_iter().flatten().min() else { return };
        if armed.is_none_or(|armed| next < armed) {
            timer.reset(self.clock.runtime_instant(next));
            *armed = Some(next);
        }
    }

    /// Carries out everything the server wants, then tells it what could not be done, until
    /// nothing is left.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.server.poll_output() {
                self.carry_out(output);
            }
            if let Some(ticket) = self.failed.pop() {
                self.server.handle_send_failed(self.now, ticket);
            } else if let Some(ticket) = self.undone.pop() {
                self.server.handle_committed(self.now, ticket, false);
            } else if let Some(ticket) = self.unlocated.pop() {
                self.server.handle_located(self.now, ticket, Vec::new());
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Transmit(transmit) => self.send_or_hold(transmit),
            Output::Save { sequence, changes } => {
                self.last_sequence = sequence;
                self.store.save(sequence, changes);
            }
            Output::Commit { ticket, sequence, changes } => {
                self.last_sequence = sequence;
                if !self.store.commit(ticket, sequence, changes) {
                    self.undone.push(ticket);
                }
            }
            Output::Locate { ticket, target } => {
                if self.resolver.try_send(Locate { ticket, target }).is_err() {
                    self.unlocated.push(ticket);
                }
            }
            Output::Answered { ticket, answer } => {
                if let Some(asker) = self.answers.remove(&ticket) {
                    // Whoever asked may have given up.
                    let _ = asker.send(answer);
                }
            }
            // Dropping the handle lets the flow write what it has and close.
            Output::Close(connection) => self.forget_flow(connection),
        }
    }

    fn forget_flow(&mut self, connection: ConnectionId) {
        if let Some(open) = self.flows.remove(&connection)
            && self.by_peer.get(&open.hop) == Some(&connection)
        {
            self.by_peer.remove(&open.hop);
        }
    }

    fn observe(&self) -> Observation {
        Observation {
            server: self.server.counters(),
            edge: self.counters.clone(),
            held: self.held.len(),
            flows: self.flows.len(),
        }
    }
}

#[cfg(test)]
mod tests;
