//! `set network …` and `unset network …`

use admin_api::platform::request::Request;
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings};

use crate::answers;
use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

/// Asks first: whoever works over the network may be cut off.
fn change(session: &mut Session, arguments: &Arguments, request: &Request) -> Outcome {
    session.confirm("Connections to the present address may end.", arguments)?;
    session.show_platform(request)
}

pub(crate) fn ip_dhcp(session: &mut Session, arguments: &Arguments) -> Outcome {
    change(session, arguments, &Request::SetIpv4(Ipv4Settings::Dhcp))
}

pub(crate) fn ip_static(session: &mut Session, arguments: &Arguments) -> Outcome {
    let (address, prefix_length) = answers::ipv4(arguments.required("ADDRESS/PREFIX"))
        .map_err(|why| answers::problem(why, "ADDRESS/PREFIX"))?;
    let gateway = answers::ipv4_gateway(
        arguments.text("gateway").unwrap_or_default(),
        (address, prefix_length),
    )
    .map_err(|why| answers::problem(why, "gateway"))?;
    let ipv4 = Ipv4Settings::Static { address, prefix_length, gateway };
    change(session, arguments, &Request::SetIpv4(ipv4))
}

pub(crate) fn ipv6_off(session: &mut Session, arguments: &Arguments) -> Outcome {
    change(session, arguments, &Request::SetIpv6(Ipv6Settings::Off))
}

pub(crate) fn ipv6_automatic(session: &mut Session, arguments: &Arguments) -> Outcome {
    change(session, arguments, &Request::SetIpv6(Ipv6Settings::Automatic))
}

pub(crate) fn ipv6_static(session: &mut Session, arguments: &Arguments) -> Outcome {
    let (address, prefix_length) = answers::ipv6(arguments.required("ADDRESS/PREFIX"))
        .map_err(|why| answers::problem(why, "ADDRESS/PREFIX"))?;
    let gateway = answers::ipv6_gateway(arguments.text("gateway").unwrap_or_default())
        .map_err(|why| answers::problem(why, "gateway"))?;
    let ipv6 = Ipv6Settings::Static { address, prefix_length, gateway };
    change(session, arguments, &Request::SetIpv6(ipv6))
}

pub(crate) fn dns(session: &mut Session, arguments: &Arguments) -> Outcome {
    let servers = answers::name_servers(arguments.required("ADDRESS"))
        .map_err(|why| answers::problem(why, "ADDRESS"))?;
    session.show_platform(&Request::SetNameServers { servers })
}

pub(crate) fn unset_dns(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetNameServers { servers: Vec::new() })
}

pub(crate) fn mtu(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show_platform(&Request::SetMtu { mtu_bytes: arguments.number("BYTES") })
}

pub(crate) fn unset_mtu(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetMtu { mtu_bytes: None })
}

pub(crate) fn host_name(session: &mut Session, arguments: &Arguments) -> Outcome {
    session
        .show_platform(&Request::SetHostName { host_name: arguments.required("NAME").to_owned() })
}

pub(crate) fn confirm(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ConfirmNetwork)
}

pub(crate) fn revert(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::RevertNetwork)
}
