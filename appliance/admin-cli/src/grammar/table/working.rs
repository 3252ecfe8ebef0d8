//! `utils …`

use super::{Command, Extra, FORCE, Kind, Level, PORT, Slot, look};
use crate::command::{tool, utils};

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["utils", "system", "restart"],
        values: &[],
        extras: &[FORCE],
        level: Level::Administrator,
        summary: "restart the machine",
        details: "Service is away for about a minute.",
        example: "utils system restart",
        run: utils::restart,
    },
    Command {
        words: &["utils", "system", "shutdown"],
        values: &[],
        extras: &[FORCE],
        level: Level::Administrator,
        summary: "shut the machine down",
        details: "It must be switched on by hand.",
        example: "utils system shutdown",
        run: utils::shutdown,
    },
    look(
        &["utils", "service", "list"],
        "list the services and how they run",
        "",
        utils::service_list,
    ),
    Command {
        words: &["utils", "service", "restart"],
        values: &[Slot {
            name: "NAME",
            kind: Kind::Service,
            help: "a service that \"utils service list\" names",
        }],
        extras: &[FORCE],
        level: Level::Administrator,
        summary: "restart a service",
        details: "Nothing acknowledged is lost. This shell may end when the service is the one that serves it.",
        example: "utils service restart presence",
        run: utils::service_restart,
    },
    Command {
        words: &["utils", "network", "ping"],
        values: &[Slot { name: "HOST", kind: Kind::Text, help: "a name or an address" }],
        extras: &[
            Extra {
                word: "count",
                value: Some(Slot {
                    name: "COUNT",
                    kind: Kind::Number { minimum: 1, maximum: 100 },
                    help: "1 to 100",
                }),
                help: "how often, 4 unless given",
            },
            Extra {
                word: "size",
                value: Some(Slot {
                    name: "BYTES",
                    kind: Kind::Number { minimum: 0, maximum: 9_000 },
                    help: "0 to 9000",
                }),
                help: "bytes of payload, 56 unless given",
            },
        ],
        level: Level::Administrator,
        summary: "send ICMP echoes to a host",
        details: "Ctrl-C ends it.",
        example: "utils network ping 192.0.2.1 count 3",
        run: tool::ping,
    },
    Command {
        words: &["utils", "network", "traceroute"],
        values: &[Slot { name: "HOST", kind: Kind::Text, help: "a name or an address" }],
        extras: &[],
        level: Level::Administrator,
        summary: "show the way to a host",
        details: "Ctrl-C ends it.",
        example: "utils network traceroute example.org",
        run: tool::traceroute,
    },
    Command {
        words: &["utils", "network", "resolve"],
        values: &[Slot { name: "HOST", kind: Kind::Text, help: "a name or an address" }],
        extras: &[],
        level: Level::Administrator,
        summary: "ask the name servers for a host",
        details: "",
        example: "utils network resolve example.org",
        run: tool::resolve,
    },
    Command {
        words: &["utils", "network", "connect"],
        values: &[Slot { name: "HOST", kind: Kind::Text, help: "a name or an address" }, PORT],
        extras: &[],
        level: Level::Administrator,
        summary: "try to open a TCP connection",
        details: "",
        example: "utils network connect example.org 5060",
        run: tool::connect,
    },
    Command {
        words: &["utils", "network", "capture"],
        values: &[Slot { name: "FILE", kind: Kind::Text, help: "a name; .pcap is put behind it" }],
        extras: &[
            Extra {
                word: "count",
                value: Some(Slot {
                    name: "COUNT",
                    kind: Kind::Number { minimum: 1, maximum: 100_000 },
                    help: "1 to 100000",
                }),
                help: "how many packets, 1000 unless given",
            },
            Extra {
                word: "host",
                value: Some(Slot { name: "ADDRESS", kind: Kind::Address, help: "an address" }),
                help: "only those from and to this address",
            },
            Extra { word: "port", value: Some(PORT), help: "only those from and to this port" },
        ],
        level: Level::Administrator,
        summary: "write packets into a file",
        details: "Until so many were seen, or Ctrl-C. \"file get capture\" gives the file.",
        example: "utils network capture trunk count 500 port 5060",
        run: tool::capture,
    },
];
