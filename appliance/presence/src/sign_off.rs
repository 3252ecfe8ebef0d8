//! A device whose connection is lost is gone (RFC 5626 §3.5): its binding, and what it published over
//! the same connection, after a pause that the node's policy sets for each transport.
//!
//! A connection over which nobody registered means nothing: applications publish and hang up.

use sip::clock::Now;
use sip::flow::{ConnectionId, Flow, Transport};

use crate::event_state::Package;
use crate::node_policy::Item;
use crate::server::{Due, Server};
use crate::user::UserSlot;

impl Server {
    /// A user has registered or published over a connection.
    pub(crate) fn note_connection(&mut self, flow: &Flow, slot: UserSlot) {
        if !flow.transport.is_reliable() {
            return;
        }
        let users = self.by_connection.entry(flow.connection).or_default();
        if !users.contains(&slot) {
            users.push(slot);
        }
    }

    /// A connection is gone: who was reached over it signs off, now or after a pause.
    pub(crate) fn sign_off_later(&mut self, now: Now, connection: ConnectionId) {
        for slot in self.by_connection.remove(&connection).unwrap_or_default() {
            let Some(user) = self.users.get(slot) else { continue };
            let lost = user
                .bindings
                .iter()
                .find(|binding| binding.is_direct && binding.flow.connection == connection);
            let Some(transport) = lost.map(|binding| binding.flow.transport) else { continue };
            let item = match transport {
                Transport::Tls => Item::SignOffTls,
                Transport::Ws | Transport::Wss => Item::SignOffWebSocket,
                Transport::Tcp | Transport::Udp => Item::SignOffTcp,
            };
            match self.policy.pause(item) {
                None => {}
                Some(pause) if pause.is_zero() => self.sign_off_device(now, slot, connection),
                Some(pause) => {
                    self.deadlines.insert(now.monotonic + pause, Due::SignOff(slot, connection));
                }
            }
        }
    }

    /// Signs a device off that has not come back over another connection.
    pub(crate) fn sign_off_device(&mut self, now: Now, slot: UserSlot, connection: ConnectionId) {
        let Some(user) = self.users.get(slot) else { return };
        let is_lost = user
            .bindings
            .iter()
            .any(|binding| binding.is_direct && binding.flow.connection == connection);
        if !is_lost {
            return;
        }
        self.counters.devices_signed_off += 1;
        self.remove_bindings(slot, |binding| {
            binding.is_direct && binding.flow.connection == connection
        });
        self.remove_publications(slot, |_, publication| publication.connection == Some(connection));
        self.tell_watchers(now, slot);
        self.state_changed(now, slot, Package::Reg);
    }
}
