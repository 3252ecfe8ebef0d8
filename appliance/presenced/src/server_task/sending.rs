//! The ways out: messages that wait for the disk, datagrams, flows, and connections to hops.

use std::net::SocketAddr;
use std::time::Duration;

use presence::output::{Payload, Ticket, Transmit};
use sip::clock::Instant;
use sip::flow::{Destination, Flow, Hop, Transport};

use super::{OpenFlow, ServerTask};
use crate::alarm::AlarmKind;
use crate::listener::udp::Sent;

/// How long an answer may wait for the disk before it is sent anyway.
pub(super) const STORE_WITHIN: Duration = Duration::from_millis(250);
/// Messages that may wait for the disk.
const HELD: usize = 65_536;

/// A message that waits for the disk.
pub(super) struct Held {
    pub(super) transmit: Transmit,
    pub(super) since: Instant,
}

impl ServerTask {
    /// Sends a message once what it tells is on disk.
    pub(super) fn send_or_hold(&mut self, transmit: Transmit) {
        if transmit.after <= self.durable || self.is_store_failed {
            self.send(transmit);
            return;
        }
        if self.held.len() >= HELD {
            self.release_first_early();
        }
        self.held.push_back(Held { transmit, since: self.now.monotonic });
    }

    /// Sends what the disk has reached, or everything while the disk fails.
    pub(super) fn release_held(&mut self) {
        while let Some(held) = self.held.front() {
            if held.transmit.after <= self.durable {
                if let Some(held) = self.held.pop_front() {
                    self.send(held.transmit);
                }
            } else if self.is_store_failed {
                self.release_first_early();
            } else {
                return;
            }
        }
    }

    /// Sends what has waited too long; true when there was something.
    pub(super) fn release_slow(&mut self) -> bool {
        let mut is_slow = false;
        while self.held.front().is_some_and(|h| h.since + STORE_WITHIN <= self.now.monotonic) {
            is_slow = true;
            self.release_first_early();
        }
        if is_slow {
            let limit = STORE_WITHIN.as_millis();
            let what = format!("a write took longer than {limit} ms; answers do not wait");
            self.alarms.raise(AlarmKind::StoreSlow, what);
        }
        is_slow
    }

    fn release_first_early(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.counters.released_early += 1;
            self.send(held.transmit);
        }
    }

    fn send(&mut self, transmit: Transmit) {
        let Transmit { destination, payload, on_failure, .. } = transmit;
        let body = payload.body.as_deref().unwrap_or_default();
        tracing::trace!(?destination, text = %shown(&payload.head), body = %shown(body), "sent");
        let is_sent = match destination {
            Destination::Flow(Flow { transport: Transport::Udp, local, peer, .. }) => {
                self.send_datagram(Some(local), peer, payload, on_failure)
            }
            Destination::Hop(Hop { transport: Transport::Udp, address }) => {
                self.send_datagram(None, address, payload, on_failure)
            }
            Destination::Flow(flow) => match self.flows.get(&flow.connection) {
                None => {
                    self.counters.undeliverable += 1;
                    false
                }
                Some(open) => {
                    let is_sent = open.handle.send(payload, on_failure);
                    self.count_stream(is_sent)
                }
            },
            Destination::Hop(hop) => self.send_to_hop(hop, payload, on_failure),
        };
        if !is_sent {
            self.failed.extend(on_failure);
        }
    }

    fn send_datagram(
        &mut self,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        payload: Payload,
        on_failure: Option<Ticket>,
    ) -> bool {
        let by_flow =
            local.and_then(|local| self.udp.iter().position(|listener| listener.serves(local)));
        let source = local.filter(|_| by_flow.is_some()).map(|local| local.ip());
        let index = by_flow.or_else(|| self.udp.iter().position(|listener| listener.reaches(peer)));
        let sent = match index.and_then(|index| self.udp.get_mut(index)) {
            None => Sent::Refused,
            Some(listener) => listener.send(peer, source, payload, on_failure),
        };
        match sent {
            Sent::Taken => self.counters.datagrams_out += 1,
            Sent::Dropped => self.counters.dropped_full += 1,
            Sent::Refused => self.counters.undeliverable += 1,
        }
        sent == Sent::Taken
    }

    fn send_to_hop(&mut self, hop: Hop, payload: Payload, on_failure: Option<Ticket>) -> bool {
        if matches!(hop.transport, Transport::Ws | Transport::Wss) {
            // RFC 7118 §5: there is no connecting to a WebSocket client.
            self.counters.undeliverable += 1;
            return false;
        }
        let open = self.by_peer.get(&hop).and_then(|connection| self.flows.get(connection));
        let is_sent = match open {
            Some(open) => open.handle.send(payload, on_failure),
            None => {
                let Some((connection, handle)) = self.connector.connect(hop) else {
                    self.counters.undeliverable += 1;
                    return false;
                };
                let is_sent = handle.send(payload, on_failure);
                self.by_peer.insert(hop, connection);
                self.flows.insert(connection, OpenFlow { handle, hop });
                is_sent
            }
        };
        self.count_stream(is_sent)
    }

    const fn count_stream(&mut self, is_sent: bool) -> bool {
        if is_sent {
            self.counters.stream_messages_out += 1;
        } else {
            self.counters.dropped_full += 1;
        }
        is_sent
    }

    pub(super) fn send_backlogs(&mut self) {
        for listener in &mut self.udp {
            let before = self.failed.len();
            listener.send_backlog(&mut self.failed);
            let refused = self.failed.len() - before;
            self.counters.undeliverable += refused as u64;
        }
        self.contained(|task| task.drain());
    }
}

/// A message for the log: answers to challenges could be guessed from, so they are left out.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| match line.split_once(':') {
        Some((name, _)) if name.trim().to_ascii_lowercase().ends_with("authorization") => {
            format!("{name}: (left out)")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
