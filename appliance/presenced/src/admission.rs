//! How many stream connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use presence::config::AddressBlock;

use crate::alarm::{AlarmKind, Alarms};

/// Counts connections; handles share the count.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    alarms: Alarms,
    refused: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    max_total: usize,
    max_per_peer: usize,
    trusted: Vec<AddressBlock>,
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    peer: IpAddr,
}

impl Admission {
    /// Nobody connected yet. Trusted peers are bound by the total only: a proxy or a trunk
    /// speaks for many.
    pub(crate) fn new(
        max_total: usize,
        max_per_peer: usize,
        trusted: Vec<AddressBlock>,
        alarms: Alarms,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                alarms,
                refused: AtomicU64::new(0),
                open: Mutex::new(Open { max_total, max_per_peer, trusted, ..Open::default() }),
            }),
        }
    }

    /// Other limits, from the next connection on; nobody who is connected is sent away.
    pub(crate) fn change(&self, max_total: usize, max_per_peer: usize, trusted: Vec<AddressBlock>) {
        let mut open = self.shared.lock();
        open.max_total = max_total;
        open.max_per_peer = max_per_peer;
        open.trusted = trusted;
        let has_room = open.has_room();
        drop(open);
        if has_room {
            self.shared.alarms.clear(AlarmKind::ConnectionsExhausted);
        }
    }

    /// A place for one more connection with this peer, if there is one.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<Place> {
        let shared = &self.shared;
        let mut open = shared.lock();
        let is_trusted = open.trusted.iter().any(|block| block.contains(peer));
        let max_total = open.max_total;
        let is_full = open.total >= max_total;
        let held = open.by_peer.get(&peer).copied().unwrap_or(0);
        if is_full || (!is_trusted && held >= open.max_per_peer) {
            drop(open);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            if is_full {
                let what = format!("all {} connections are in use", max_total);
                shared.alarms.raise(AlarmKind::ConnectionsExhausted, what);
            }
            return None;
        }
        open.total += 1;
        open.by_peer.insert(peer, held + 1);
        Some(Place { shared: Arc::clone(shared), peer })
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.shared.lock().total
    }

    /// The most there may be.
    pub(crate) fn max_total(&self) -> usize {
        self.shared.lock().max_total
    }

    /// Connections refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Whether enough places are free to say that the shortage is over.
    const fn has_room(&self) -> bool {
        self.total < self.max_total - self.max_total / 10
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(held) = open.by_peer.get_mut(&self.peer) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
        let has_room = open.has_room();
        drop(open);
        if has_room {
            self.shared.alarms.clear(AlarmKind::ConnectionsExhausted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_per_peer_and_in_all_and_come_back() {
        let trusted = AddressBlock { address: "192.0.2.1".parse().unwrap(), prefix: 32 };
        let alarms = Alarms::default();
        let admission = Admission::new(3, 1, vec![trusted], alarms.clone());
        let peer: IpAddr = "198.51.100.1".parse().unwrap();
        let first = admission.admit(peer).unwrap();
        assert!(admission.admit(peer).is_none());
        let trunk: Vec<_> =
            (0..2).map(|_| admission.admit("192.0.2.1".parse().unwrap()).unwrap()).collect();
        assert!(admission.admit("192.0.2.1".parse().unwrap()).is_none());
        assert!(alarms.is_raised(AlarmKind::ConnectionsExhausted));
        drop(trunk);
        assert!(!alarms.is_raised(AlarmKind::ConnectionsExhausted));
        assert_eq!((admission.open(), admission.refused()), (1, 2));
        drop(first);
        let first = admission.admit(peer).unwrap();
        assert!(admission.admit(peer).is_none());
        admission.change(3, 2, Vec::new());
        assert!(admission.admit(peer).is_some(), "a higher limit holds at once");
        drop(first);
    }
}
