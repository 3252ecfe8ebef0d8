//! The SIP sockets that this node listens on.

pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;
pub(crate) mod websocket;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address by which peers can reach a listener; for a wildcard, that of the first interface
/// that leads somewhere.
pub(crate) fn reachable(local: SocketAddr) -> SocketAddr {
    if !local.ip().is_unspecified() {
        return local;
    }
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|ip| ip.is_ipv4() == local.is_ipv4() && !ip.is_loopback())
        .find(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        });
    let loopback =
        if local.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(address.unwrap_or(loopback), local.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_reached_by_an_address_of_its_family() {
        for wildcard in ["0.0.0.0:5060", "[::]:5060"] {
            let wildcard: SocketAddr = wildcard.parse().unwrap();
            let address = reachable(wildcard);
            assert!(!address.ip().is_unspecified());
            assert_eq!(address.is_ipv4(), wildcard.is_ipv4());
            assert_eq!(address.port(), 5060);
        }
        let fixed: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        assert_eq!(reachable(fixed), fixed);
    }
}
