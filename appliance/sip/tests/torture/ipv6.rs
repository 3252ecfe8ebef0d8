//! RFC 5118 §4: the same for IPv6.

use sip::header::via::Via;
use sip::message::HeaderAccess;
use sip::uri;

use crate::{refused, request};

fn vias(name: &str) -> Vec<Via> {
    request(name).headers.values("Via").map(|via| Via::parse(via).unwrap()).collect()
}

#[test]
fn s4_1_a_reference_in_brackets() {
    let request = request("ipv6-good");
    assert_eq!(uri::host_port(&request.uri), ("[2001:db8::10]".into(), None));
    assert_eq!(vias("ipv6-good")[0].address(), "2001:db8::9:1".parse().ok());
}

#[test]
fn s4_2_a_reference_without_brackets() {
    assert_eq!(refused("ipv6-bad"), (400, "Malformed Host in Request-URI".to_owned()));
}

#[test]
fn s4_3_and_s4_4_ports() {
    let ambiguous = request("port-ambiguous").uri;
    assert_eq!(uri::host_port(&ambiguous), ("[2001:db8::10:5070]".into(), None));
    let unambiguous = request("port-unambiguous").uri;
    assert_eq!(uri::host_port(&unambiguous), ("[2001:db8::10]".into(), Some(5070)));
}

#[test]
fn s4_5_received_with_and_without_brackets() {
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        assert_eq!(vias(name)[0].received, "2001:db8::9:255".parse().ok(), "{name}");
    }
}

#[test]
fn s4_8_mixed_families() {
    let vias = vias("mult-ip-in-header");
    assert_eq!((vias[0].address(), vias[0].port), ("2001:db8::9:1".parse().ok(), Some(6050)));
    assert_eq!(vias[1].address(), "192.0.2.1".parse().ok());
    assert_eq!(vias[2].received, "192.0.2.200".parse().ok());
}

#[test]
fn s4_10_mapped_addresses() {
    let vias = vias("ipv4-mapped-ipv6");
    assert_eq!(vias[0].address(), "::ffff:192.0.2.10".parse().ok());
    assert_eq!(vias[0].port, Some(19_823));
}
