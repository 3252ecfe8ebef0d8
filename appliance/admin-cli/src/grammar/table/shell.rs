//! `help` and `exit`

use super::{Command, Kind, Level, Slot, look};
use crate::command::help;

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["help"],
        values: &[Slot {
            name: "COMMAND",
            kind: Kind::Command,
            help: "a command, or how one begins",
        }],
        extras: &[],
        level: Level::Monitor,
        summary: "explain a command, or all of them",
        details: "",
        example: "help user add",
        run: help::help,
    },
    look(&["exit"], "leave the shell", "Ctrl-D on an empty line does the same.", help::exit),
];
