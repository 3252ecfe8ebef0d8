//! How to reach a peer that gave a Contact: over the flow it used, at its address, or by name.

use sip::flow::{Destination, Flow, Hop};
use sip::locate::Target;
use sip::message::{Header, Request, Uri};
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
    let mut vias = 0;
    for header in request.headers.iter() {
        match header {
            Header::Via(_) => vias += 1,
            Header::RecordRoute(_) => return false,
            Header::Other(name, _) if name.eq_ignore_ascii_case("Path") => return false,
            _ => {}
        }
    }
    vias == 1
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
    let numeric = uri::address(target);
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
