//! Settings of the machine, as they are asked for and shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// How the interface gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ipv4Settings {
    /// From a DHCP server.
    Dhcp,
    /// As given.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// Bits of the network, 1 to 31.
        prefix_length: u8,
        /// The way out; it must be in the network.
        gateway: Option<Ipv4Addr>,
    },
}

/// How the interface gets its IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ipv6Settings {
    /// None but the link's own.
    Off,
    /// From router advertisements, and DHCPv6 where these say so.
    Automatic,
    /// As given.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// Bits of the network, 1 to 127.
        prefix_length: u8,
        /// The way out.
        gateway: Option<Ipv6Addr>,
    },
}

/// What the first start asks for, on the console or in an answer file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// One label of RFC 1123.
    pub host_name: String,
    /// The SIP domain.
    pub domain: String,
    /// IPv4.
    pub ipv4: Ipv4Settings,
    /// IPv6.
    pub ipv6: Ipv6Settings,
    /// Name servers; none leaves them to DHCP.
    pub name_servers: Vec<IpAddr>,
    /// The time zone: `Europe/Berlin`.
    pub time_zone: String,
    /// Time servers; none leaves them to DHCP.
    pub time_servers: Vec<String>,
    /// The administrator's password.
    pub password: Secret,
    /// Public keys that may sign in over SSH.
    pub ssh_keys: Vec<String>,
    /// Peers exempt from digest: `192.0.2.0/24`.
    pub trusted: Vec<String>,
}

/// SIP settings that apply without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipSettings {
    /// Peers exempt from digest: `192.0.2.0/24`. Absent in a request: as before.
    pub trusted: Option<Vec<String>>,
    /// Digest algorithms in the order in which they are offered. Absent in a request: as before.
    pub digest: Option<Vec<String>>,
}

/// Where logs are sent (RFC 5424 over TLS, RFC 5425).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogSettings {
    /// A name or an address.
    pub host: String,
    /// 6514 usually.
    pub port: u16,
    /// PEM certificates of the authorities that the server's certificate may come from.
    pub trust_pem: String,
}
