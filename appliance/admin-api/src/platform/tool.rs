//! Network tools that `platformd` runs for an administrator, one at a time for each caller.

use serde::{Deserialize, Serialize};

/// A tool and what it is to do. Every value is checked before it becomes an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tool {
    /// ICMP echo.
    Ping {
        /// A name or an address.
        host: String,
        /// How often, 1 to 100.
        count: u32,
        /// Bytes of payload, 0 to 9,000.
        size_bytes: u32,
    },
    /// The way to a host.
    Traceroute {
        /// A name or an address.
        host: String,
    },
    /// What the name servers say.
    Resolve {
        /// A name or an address.
        host: String,
    },
    /// Whether a TCP connection can be opened.
    Connect {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Packets, into a file of the capture area.
    Capture {
        /// The file's name, without any directory; `.pcap` is put behind it.
        file: String,
        /// How many packets at most, 1 to 100,000.
        count: u32,
        /// Only those from and to this address.
        host: Option<std::net::IpAddr>,
        /// Only those from and to this port.
        port: Option<u16>,
    },
}

/// What a tool has printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Names the tool in later requests.
    pub tool: u64,
    /// Lines after those read already.
    pub lines: Vec<String>,
    /// Pass this as `after_line` to get what follows.
    pub next_after_line: u64,
    /// Absent while it runs; then whether it found what it was to find.
    pub has_succeeded: Option<bool>,
}
