//! `file …`

use super::{Command, Extra, Kind, LINES, LOG, Level, Slot, look};
use crate::command::file;

const CAPTURE: Slot =
    Slot { name: "NAME", kind: Kind::Capture, help: "a capture that \"file list capture\" names" };

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    look(&["file", "list", "log"], "list the logs", "", file::list_log),
    Command {
        words: &["file", "view", "log"],
        values: &[LOG],
        extras: &[],
        level: Level::Monitor,
        summary: "show a log from its beginning",
        details: "",
        example: "file view log presence",
        run: file::view_log,
    },
    Command {
        words: &["file", "tail", "log"],
        values: &[LOG],
        extras: &[Extra {
            word: "lines",
            value: Some(LINES),
            help: "how many lines to begin with, 10 unless given",
        }],
        level: Level::Monitor,
        summary: "show the end of a log and what is added to it",
        details: "Ctrl-C ends it. With --json the last lines are printed and that is all.",
        example: "file tail log presence",
        run: file::tail_log,
    },
    Command {
        words: &["file", "search", "log"],
        values: &[
            LOG,
            Slot {
                name: "TEXT",
                kind: Kind::Text,
                help: "what to look for; letter case does not matter",
            },
        ],
        extras: &[],
        level: Level::Monitor,
        summary: "show the lines of a log that hold a text",
        details: "",
        example: "file search log presence \"over the limit\"",
        run: file::search_log,
    },
    Command {
        words: &["file", "get", "log"],
        values: &[LOG],
        extras: &[],
        level: Level::Monitor,
        summary: "write a log out without stopping at pages",
        details: "One-shot use writes it to a file: appliance file get log presence > file",
        example: "file get log presence",
        run: file::get_log,
    },
    look(&["file", "list", "capture"], "list the captures", "", file::list_capture),
    Command {
        words: &["file", "get", "capture"],
        values: &[CAPTURE],
        extras: &[],
        level: Level::Administrator,
        summary: "write a capture out as it is",
        details: "To a file on the side of whoever asks: ssh admin@HOST file get capture trunk.pcap > trunk.pcap",
        example: "file get capture trunk.pcap",
        run: file::get_capture,
    },
    Command {
        words: &["file", "delete", "capture"],
        values: &[CAPTURE],
        extras: &[],
        level: Level::Administrator,
        summary: "delete a capture",
        details: "",
        example: "file delete capture trunk.pcap",
        run: file::delete_capture,
    },
];
