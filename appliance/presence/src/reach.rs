//! How to reach a peer that gave a Contact: over the flow it used, at its address, or by name.

use std::net::IpAddr;

use sip::flow::{Destination, Flow, Hop};
use sip::locate::Target;
use sip::message::{HeaderAccess, Request, Uri};
use sip::uri;

/// The next hop towards a peer.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// Known now.
    At(Destination),
    /// To be located (RFC 3263).
    Named(Target),
    /// The URI leads nowhere that SIP could go.
    Nowhere,
}

/// Whether a request came straight from its user agent, with no proxy between.
pub(crate) fn is_direct(request: &Request) -> bool {
    request.headers.values("Via").count() == 1
        && request.headers.value("Record-Route").is_none()
        && request.headers.value("Path").is_none()
}

/// Where requests for `target` go, when its owner last spoke to us over `flow`.
///
/// A direct peer on a connection is reached over it. A direct peer that sends datagrams is
/// reached at its Contact when that is the address it sends from, and else, behind a NAT, where
/// it sends from (RFC 3581, RFC 5626 §2: the flow is what works).
pub(crate) fn towards(target: &Uri, flow: &Flow, is_direct: bool) -> Reach {
    if is_direct && flow.transport.is_reliable() {
        return Reach::At(Destination::Flow(*flow));
    }
    let numeric = numeric_host(target);
    if is_direct
        && let Some(address) = numeric
        && address != flow.peer.ip().to_canonical()
    {
        return Reach::At(Destination::Flow(*flow));
    }
    away_from_flow(target, Some(flow))
}

/// Where requests for `target` go when no flow leads there; datagrams leave by the socket of
/// `flow` when it can carry them.
pub(crate) fn away_from_flow(target: &Uri, flow: Option<&Flow>) -> Reach {
    let Ok(target) = Target::from_uri(target) else { return Reach::Nowhere };
    match target.numeric() {
        Some(hop) => Reach::At(at_hop(hop, flow)),
        None => Reach::Named(target),
    }
}

/// A destination for a located hop.
pub(crate) fn at_hop(hop: Hop, flow: Option<&Flow>) -> Destination {
    match flow {
        Some(flow)
            if !hop.transport.is_reliable()
                && flow.transport == hop.transport
                && flow.local.is_ipv4() == hop.address.is_ipv4() =>
        {
            Destination::Flow(Flow { peer: hop.address, ..*flow })
        }
        _ => Destination::Hop(hop),
    }
}

fn numeric_host(target: &Uri) -> Option<IpAddr> {
    ip_of(&uri::host(target))
}

/// The address that a host of a URI is, if it is no name; one mapped into IPv6 counts as IPv4.
pub(crate) fn ip_of(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}
