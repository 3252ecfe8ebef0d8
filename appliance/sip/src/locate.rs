//! Where to send a request: RFC 3263 §4 as a pure step machine. The edge asks the DNS what
//! [`Locator::question`] wants to know and gives the answers back; at the end there are hops.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rsip::{Scheme, Uri};

use crate::flow::{Hop, Transport};
use crate::uri;

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address; an IPv6 address may have brackets.
    pub host: String,
    /// The port, when it is given.
    pub port: Option<u16>,
    /// The transport, when it is given.
    pub transport: Option<Transport>,
    /// Every hop has to be encrypted (`sips`).
    pub secure: bool,
}

/// A URI that cannot be located by SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither `sip` nor `sips`.
    #[error("only sip and sips URIs can be located")]
    Scheme,
    /// The transport is none that Lamplight speaks, or is not encrypted where it must be.
    #[error("the transport cannot be used")]
    Transport,
}

impl Target {
    /// What a URI names; `maddr` goes before its host (RFC 3263 §4, RFC 3261 §19.1.1). A
    /// `transport=tcp` or `ws` of a `sips` URI means its encrypted form.
    pub fn from_uri(target: &Uri) -> Result<Self, TargetError> {
        let secure = match target.scheme {
            None | Some(Scheme::Sip) => false,
            Some(Scheme::Sips) => true,
            Some(Scheme::Other(_)) => return Err(TargetError::Scheme),
        };
        let transport = match uri::transport(target) {
            None => None,
            Some(Err(_)) => return Err(TargetError::Transport),
            Some(Ok(transport)) if secure => match transport {
                Transport::Udp => return Err(TargetError::Transport),
                Transport::Tcp | Transport::Tls => Some(Transport::Tls),
                Transport::Ws | Transport::Wss => Some(Transport::Wss),
            },
            Some(Ok(transport)) => Some(transport),
        };
        let host = match uri::param(target, "maddr").flatten() {
            Some(address) => address.to_owned(),
            None => uri::host(target).into_owned(),
        };
        Ok(Self { host, port: uri::port(target), transport, secure })
    }

    /// The hop of a target that is an address, for which nothing has to be asked.
    #[must_use]
    pub fn numeric(&self) -> Option<Hop> {
        let address = address(&self.host)?;
        let transport = self.transport.unwrap_or_else(|| self.default_transport());
        Some(hop(transport, address, self.port))
    }

    /// RFC 3263 §4.1: without NAPTR, UDP or, for `sips`, TLS.
    const fn default_transport(&self) -> Transport {
        if self.secure { Transport::Tls } else { Transport::Udp }
    }
}

/// What the DNS is to be asked next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// The NAPTR records of a name.
    Naptr(String),
    /// The SRV records of a name.
    Srv(String),
    /// The A and AAAA records of a name.
    Addresses(String),
}

/// A NAPTR record (RFC 3403 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaptrRecord {
    /// Lowest first.
    pub order: u16,
    /// Lowest first among one order.
    pub preference: u16,
    /// `s` when the replacement has SRV records.
    pub flags: String,
    /// `SIP+D2U` and so on.
    pub service: String,
    /// The name to ask next.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lowest first.
    pub priority: u16,
    /// The share among one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name of the server.
    pub target: String,
}

/// What the DNS said; empty when there is nothing or the question failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<NaptrRecord>),
    /// To [`Question::Srv`].
    Srv(Vec<SrvRecord>),
    /// To [`Question::Addresses`]; the order is kept.
    Addresses(Vec<IpAddr>),
}

/// The way from a target to its hops.
#[derive(Debug)]
pub struct Locator {
    target: Target,
    random: u64,
    steps: VecDeque<Step>,
    hops: Vec<Hop>,
}

#[derive(Debug)]
enum Step {
    Naptr,
    /// The SRV records of a name; `fallback` when nothing else is there to be asked.
    Srv {
        name: String,
        transport: Transport,
    },
    Addresses {
        name: String,
        transport: Transport,
        port: Option<u16>,
    },
    /// Only when there are no hops by then (RFC 3263 §4.2: no SRV records).
    Otherwise {
        transport: Transport,
    },
}

/// Bounds of what one lookup may lead to.
const MOST_HOPS: usize = 16;
const MOST_SERVERS: usize = 8;

impl Locator {
    /// Begins; `random` spreads the load over servers of equal rank (RFC 2782).
    #[must_use]
    pub fn new(target: Target, random: u64) -> Self {
        let mut locator = Self { target, random, steps: VecDeque::new(), hops: Vec::new() };
        if let Some(hop) = locator.target.numeric() {
            locator.hops.push(hop);
            return locator;
        }
        let target = &locator.target;
        let name = target.host.trim_end_matches('.').to_owned();
        match (target.port, target.transport) {
            // RFC 3263 §4.2: a port excludes SRV.
            (Some(_), transport) => {
                let transport = transport.unwrap_or_else(|| target.default_transport());
                locator.steps.push_back(Step::Addresses { name, transport, port: target.port });
            }
            // RFC 7118 §5.2: WebSocket has no SRV.
            (None, Some(transport @ (Transport::Ws | Transport::Wss))) => {
                locator.steps.push_back(Step::Addresses { name, transport, port: None });
            }
            (None, Some(transport)) => locator.ask_srv(&[transport]),
            (None, None) => locator.steps.push_back(Step::Naptr),
        }
        locator
    }

    /// What to ask next; `None` when the hops are known.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        match self.steps.front()? {
            Step::Naptr => Some(Question::Naptr(self.host())),
            Step::Srv { name, .. } => Some(Question::Srv(name.clone())),
            Step::Addresses { name, .. } => Some(Question::Addresses(name.clone())),
            Step::Otherwise { .. } => Some(Question::Addresses(self.host())),
        }
    }

    /// Takes the answer to [`Self::question`]. One that does not fit it counts as empty.
    pub fn answer(&mut self, answer: Answer) {
        match (self.steps.pop_front(), answer) {
            (Some(Step::Naptr), Answer::Naptr(records)) => self.take_naptr(records),
            (Some(Step::Naptr), _) => self.take_naptr(Vec::new()),
            (Some(Step::Srv { transport, .. }), Answer::Srv(records)) => {
                self.take_srv(transport, records);
            }
            (Some(Step::Addresses { transport, port, .. }), Answer::Addresses(addresses)) => {
                self.take_addresses(transport, port, addresses);
            }
            (Some(Step::Otherwise { transport }), Answer::Addresses(addresses)) => {
                self.take_addresses(transport, None, addresses);
            }
            _ => {}
        }
        self.settle();
    }

    /// The hops, best first; none when the target could not be found.
    #[must_use]
    pub fn into_hops(self) -> Vec<Hop> {
        self.hops
    }

    fn host(&self) -> String {
        self.target.host.trim_end_matches('.').to_owned()
    }

    /// SRV for each transport in turn, then plain addresses if none had any.
    fn ask_srv(&mut self, transports: &[Transport]) {
        for transport in transports {
            let name = format!("{}.{}", srv_prefix(*transport), self.host());
            self.steps.push_back(Step::Srv { name, transport: *transport });
        }
        let transport = self.target.transport.unwrap_or_else(|| self.target.default_transport());
        self.steps.push_back(Step::Otherwise { transport });
    }

    /// RFC 3263 §4.1: the records of services that we speak, by order and preference.
    fn take_naptr(&mut self, mut records: Vec<NaptrRecord>) {
        records.sort_by_key(|record| (record.order, record.preference));
        let secure = self.target.secure;
        let usable = records
            .into_iter()
            .filter(|record| record.flags.eq_ignore_ascii_case("s"))
            .filter_map(|record| {
                let transport = naptr_transport(&record.service)?;
                let name = record.replacement.trim_end_matches('.').to_owned();
                let fits = !name.is_empty() && (!secure || transport.is_secure());
                fits.then_some(Step::Srv { name, transport })
            })
            .take(MOST_SERVERS);
        let before = self.steps.len();
        self.steps.extend(usable);
        if self.steps.len() > before {
            let transport = self.target.default_transport();
            self.steps.push_back(Step::Otherwise { transport });
        } else if secure {
            self.ask_srv(&[Transport::Tls]);
        } else {
            self.ask_srv(&[Transport::Udp, Transport::Tcp, Transport::Tls]);
        }
    }

    fn take_srv(&mut self, transport: Transport, records: Vec<SrvRecord>) {
        // RFC 2782: a single root target says that the service is not there.
        let records: Vec<_> =
            records.into_iter().filter(|r| !r.target.trim_end_matches('.').is_empty()).collect();
        let ordered = order_servers(records, &mut self.random);
        for record in ordered.into_iter().take(MOST_SERVERS).rev() {
            let name = record.target.trim_end_matches('.').to_owned();
            let port = Some(record.port);
            self.steps.push_front(Step::Addresses { name, transport, port });
        }
    }

    fn take_addresses(&mut self, transport: Transport, port: Option<u16>, addresses: Vec<IpAddr>) {
        for address in addresses {
            let hop = hop(transport, address, port);
            if self.hops.len() < MOST_HOPS && !self.hops.contains(&hop) {
                self.hops.push(hop);
            }
        }
    }

    /// Drops the steps that have become needless.
    fn settle(&mut self) {
        if self.hops.len() >= MOST_HOPS {
            self.steps.clear();
        }
        while !self.hops.is_empty() && matches!(self.steps.front(), Some(Step::Otherwise { .. })) {
            self.steps.pop_front();
        }
    }
}

/// RFC 2782: by priority, and by chance within one, in proportion to weight.
fn order_servers(mut records: Vec<SrvRecord>, random: &mut u64) -> Vec<SrvRecord> {
    // Records without weight go first, so that they have a small chance at all.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equal = records.iter().take_while(|record| record.priority == priority);
        let total: u64 = equal.map(|record| u64::from(record.weight)).sum();
        let drawn = next_random(random) % (total + 1);
        let mut sum = 0;
        let chosen = records.iter().position(|record| {
            sum += u64::from(record.weight);
            sum >= drawn
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// SplitMix64: enough to spread load.
const fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn address(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    IpAddr::from_str(inner).ok()
}

fn hop(transport: Transport, address: IpAddr, port: Option<u16>) -> Hop {
    let port = port.unwrap_or_else(|| transport.default_port());
    Hop { transport, address: SocketAddr::new(address, port) }
}

const fn srv_prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp | Transport::Ws => "_sip._tcp",
        Transport::Tls | Transport::Wss => "_sips._tcp",
    }
}

/// RFC 3263 §4.1, RFC 7118 §9.2.
fn naptr_transport(service: &str) -> Option<Transport> {
    [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)]
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(service))
        .map(|(_, transport)| transport)
}

#[cfg(test)]
mod tests;
