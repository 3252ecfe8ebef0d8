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
    max_total: usize,
    max_per_peer: usize,
    trusted: Vec<AddressBlock>,
    alarms: Alarms,
    refused: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
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
                max_total,
                max_per_peer,
                trusted,
                alarms,
                refused: AtomicU64::new(0),
                open: Mutex::default(),
            }),
        }
    }

    /// A place for one more connection with this peer, if there is one.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<Place> {
        let shared = &self.shared;
        let is_trusted = shared.trusted.iter().any(|block| block.contains(peer));
        let mut open = shared.lock();
        let is_full = open.total >= shared.max_total;
        let held = open.by_peer.get(&peer).copied().unwrap_or(0);
        if is_full || (!is_trusted && held >= shared.max_per_peer) {
            drop(open);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            if is_full {
                let what = format!("all {} connections are in use", shared.max_total);
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
        self.shared.max_total
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
        let has_room = open.total < self.shared.max_total - self.shared.max_total / 10;
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
        assert!(admission.admit(peer).is_some());
    }
}
