//! What the edge tells the server at the start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip::digest::Algorithm;
use sip::flow::Transport;

/// Limits of this node; plain numbers that the hardware profile and the settings give.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Enabled users that the machine carries.
    pub max_users: u32,
    /// Contacts that one AoR may register.
    pub bindings_per_user: usize,
    /// Publications that one AoR may hold.
    pub publications_per_user: usize,
    /// Subscriptions in all.
    pub subscriptions: usize,
    /// Subscriptions that one watcher may hold.
    pub subscriptions_per_watcher: usize,
    /// Transactions under way; beyond, requests are answered 503.
    pub transactions: usize,
    /// Bytes of a published document.
    pub document_bytes: usize,
    /// The shortest expiry granted to REGISTER, PUBLISH and SUBSCRIBE; less is answered 423.
    pub min_expires: Duration,
    /// The expiry granted to who asks for none.
    pub default_expires: Duration,
    /// The longest expiry granted.
    pub max_expires: Duration,
    /// NOTIFYs a second that bring watchers up to date after a restart.
    pub restore_notifies_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_users: 500,
            bindings_per_user: 16,
            publications_per_user: 16,
            subscriptions: 1_200_000,
            subscriptions_per_watcher: 2_000,
            transactions: 200_000,
            document_bytes: 64 * 1024,
            min_expires: Duration::from_secs(60),
            default_expires: Duration::from_secs(3600),
            max_expires: Duration::from_secs(86_400),
            restore_notifies_per_second: 5_000,
        }
    }
}

/// A block of addresses, for trusted peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressBlock {
    /// Any address of the block.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl AddressBlock {
    /// Whether the block holds `candidate`; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, candidate: IpAddr) -> bool {
        match (self.address.to_canonical(), candidate.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                (u32::from(block) ^ u32::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(block), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                (u128::from(block) ^ u128::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Everything that the server has to know of its surroundings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SIP domain served, which is also the digest realm.
    pub domain: String,
    /// The addresses listened on, for Via, Contact and Record-Route; one wildcard listener is
    /// given with the address that peers can reach.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// Peers exempt from digest.
    pub trusted: Vec<AddressBlock>,
    /// Digest algorithms offered, most preferred first (RFC 8760 §2.3). Some old phones give up
    /// when they see any but MD5.
    pub digest: Vec<Algorithm>,
    /// The limits of this node.
    pub limits: Limits,
    /// Signs nonces and route cookies; kept by the edge over restarts.
    pub secret: [u8; 32],
    /// Value of the Server header, such as `Lamplight/0.1.0`.
    pub product: String,
}
