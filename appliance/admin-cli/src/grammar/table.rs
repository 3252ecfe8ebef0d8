//! Every command, once.

use super::{Command, Extra, Kind, Level, Slot};

mod directory;
mod files;
mod people;
mod policy;
mod setting;
mod shell;
mod showing;
mod working;

/// The levels at which may be logged.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

const ID: Slot = Slot { name: "ID", kind: Kind::UserId, help: "the id of a user" };
const AREA: Slot =
    Slot { name: "AREA", kind: Kind::LogArea, help: "an area of the log, or \"default\"" };
const LOG: Slot = Slot { name: "LOG", kind: Kind::Log, help: "a log that \"file list log\" names" };
const LEVEL: Slot = Slot {
    name: "LEVEL",
    kind: Kind::Choice(LEVELS),
    help: "error, warn, info, debug or trace; each includes those before it",
};
const LINES: Slot = Slot {
    name: "COUNT",
    kind: Kind::Number { minimum: 1, maximum: 2_000 },
    help: "how many lines, 1 to 2000",
};

const fn text(help: &'static str) -> Option<Slot> {
    Some(Slot { name: "TEXT", kind: Kind::Text, help })
}

const PASSWORD_STDIN: Extra = Extra {
    word: "password-stdin",
    value: None,
    help: "read the password from the first line of standard input",
};

/// A command without values, which only looks.
const fn look(
    words: &'static [&'static str],
    summary: &'static str,
    details: &'static str,
    run: super::Run,
) -> Command {
    Command {
        words,
        values: &[],
        extras: &[],
        level: Level::Monitor,
        summary,
        details,
        example: "",
        run,
    }
}

const UPLOAD: Slot =
    Slot { name: "NAME", kind: Kind::Text, help: "letters, digits, dots, hyphens and underscores" };

const BACKUP: Slot =
    Slot { name: "NAME", kind: Kind::Text, help: "a backup that \"file list backup\" names" };

/// The password of a user on another machine.
const PASSWORD: Extra = Extra {
    word: "password",
    value: None,
    help: "ask for the user's password, or read it from standard input",
};

/// That nobody is to be asked.
const FORCE: Extra =
    Extra { word: "force", value: None, help: "without asking, as scripts need it" };

const PORT: Slot =
    Slot { name: "PORT", kind: Kind::Number { minimum: 1, maximum: 65_535 }, help: "1 to 65535" };

/// The commands, in the order of the manual.
pub(crate) fn commands() -> impl Iterator<Item = &'static Command> {
    [
        showing::COMMANDS,
        setting::COMMANDS,
        people::COMMANDS,
        directory::COMMANDS,
        policy::COMMANDS,
        working::COMMANDS,
        files::COMMANDS,
        shell::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// What words mean that begin several commands.
const GROUPS: &[(&[&str], &str)] = &[
    (&["show"], "look at something"),
    (&["show", "cli"], "how this shell behaves"),
    (&["set"], "change a setting"),
    (&["set", "cli"], "how this shell behaves"),
    (&["show", "ssh", "client"], "how this machine signs in elsewhere"),
    (&["show", "ssh"], "who may sign in over SSH"),
    (&["set", "network"], "addresses, name servers, the machine's name"),
    (&["set", "network", "ip"], "the IPv4 address"),
    (&["set", "network", "ipv6"], "the IPv6 address"),
    (&["set", "time"], "clock, time zone, time servers"),
    (&["set", "sip"], "the SIP side"),
    (&["set", "ssh"], "who may sign in over SSH"),
    (&["set", "log"], "how much is logged"),
    (&["set", "backup"], "what backups are encrypted with"),
    (&["unset"], "take a setting back"),
    (&["unset", "backup"], "what backups are encrypted with"),
    (&["unset", "log"], "how much is logged"),
    (&["unset", "network"], "name servers, the size of packets"),
    (&["unset", "time"], "time servers"),
    (&["unset", "sip"], "the SIP side"),
    (&["unset", "ssh"], "who may sign in over SSH, keys of other hosts"),
    (&["user"], "administer users"),
    (&["utils"], "work on the node itself"),
    (&["utils", "service"], "the services of the node"),
    (&["utils", "system"], "restart, shut down, upgrade"),
    (&["utils", "system", "upgrade"], "install another version"),
    (
        &["utils", "system", "upgrade", "install"],
        "install a bundle into the slot that does not run",
    ),
    (&["utils", "ldap"], "directories: try them, synchronize"),
    (&["directory"], "find people"),
    (&["user", "device"], "SIP credentials of single devices"),
    (&["utils", "backup"], "make backups, put them back"),
    (&["utils", "backup", "restore"], "put a backup in the place of everything"),
    (&["utils", "network"], "look at the network with tools"),
    (&["file"], "logs, captures, backups, uploads"),
    (&["file", "put"], "take what is sent"),
    (&["file", "delete"], "delete"),
    (&["file", "list"], "list what there is"),
    (&["file", "view"], "show from the beginning"),
    (&["file", "tail"], "show the end and what is added"),
    (&["file", "search"], "show lines that hold a text"),
    (&["file", "get"], "write out whole"),
];

/// What the words mean that a command begins with.
pub(crate) fn help_of(path: &[&str]) -> &'static str {
    let command = commands().find(|command| command.words == path);
    let group = GROUPS.iter().find(|(words, _)| *words == path).map(|(_, help)| *help);
    command.map(|command| command.summary).or(group).unwrap_or_default()
}
