//! `… policy …`

use super::{Command, Kind, Level, Slot, look};
use crate::command::policy;

const POLICY: Slot =
    Slot { name: "POLICY", kind: Kind::Text, help: "what \"show policy\" names, such as inside" };
const VALUE: Slot =
    Slot { name: "VALUE", kind: Kind::Text, help: "one of the values that \"show policy\" allows" };

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    look(
        &["show", "policy"],
        "what is decided for all users: who may watch, and how much there may be",
        "Who may watch is decided here only for users without rules of their own (RFC 5025).",
        policy::show,
    ),
    Command {
        words: &["set", "policy"],
        values: &[POLICY, VALUE],
        extras: &[],
        level: Level::Administrator,
        summary: "decide something for all users",
        details: "It is in force at once, on subscriptions that run too. A watcher that waits for a decision is told nothing (confirm); one that is blocked politely sees somebody who is never there.",
        example: "set policy outside polite-block",
        run: policy::set,
    },
    Command {
        words: &["unset", "policy"],
        values: &[POLICY],
        extras: &[],
        level: Level::Administrator,
        summary: "have it as it usually is",
        details: "",
        example: "unset policy outside",
        run: policy::unset,
    },
];
