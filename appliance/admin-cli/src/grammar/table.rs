//! Every command, once.

use super::{Command, Extra, Kind, Level, Slot};
use crate::command::{file, help, set, show, unset, user, utils};

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

/// The commands, in the order of the manual.
pub(crate) const COMMANDS: &[Command] = &[
    look(
        &["show", "status"],
        "show how the node is doing",
        "State, clock, uptime, load, memory and disk, how much is registered, published and \
         subscribed, and where SIP is listened for.",
        show::status,
    ),
    look(&["show", "version"], "show what is installed", "", show::version),
    look(
        &["show", "hardware"],
        "show the machine and how it was recognised",
        "Also says which rule decided on the hardware profile, and what was read for it.",
        show::hardware,
    ),
    look(
        &["show", "capacity"],
        "show limits and how much of them is used",
        "The hardware profile limits the enabled users. Users beyond the limit are named.",
        show::capacity,
    ),
    Command {
        words: &["show", "users"],
        values: &[],
        extras: &[Extra {
            word: "prefix",
            value: text("how the ids begin"),
            help: "only users whose id begins so",
        }],
        level: Level::Monitor,
        summary: "list the users",
        details: "In order of id. \"served: no\" marks enabled users beyond the capacity of the \
                  machine. \"user list\" does the same.",
        example: "show users prefix an",
        run: show::users,
    },
    Command {
        words: &["show", "user"],
        values: &[ID],
        extras: &[],
        level: Level::Monitor,
        summary: "show a user with devices and publications",
        details: "",
        example: "show user anna",
        run: show::user,
    },
    Command {
        words: &["show", "presence"],
        values: &[ID],
        extras: &[Extra {
            word: "document",
            value: None,
            help: "the presence document itself (PIDF), nothing else",
        }],
        level: Level::Monitor,
        summary: "show what watchers are told about a user",
        details: "The composed presence: what a watcher sees who may see everything.",
        example: "show presence anna",
        run: show::presence,
    },
    Command {
        words: &["show", "watchers"],
        values: &[ID],
        extras: &[],
        level: Level::Monitor,
        summary: "list who is watching a user",
        details: "As \"show subscriptions\" does, for one user.",
        example: "show watchers anna",
        run: show::watchers,
    },
    look(
        &["show", "subscriptions"],
        "list all subscriptions",
        "\"due\" marks watchers who have yet to be told of a change. With --json also Call-ID \
         and age.",
        show::subscriptions,
    ),
    look(
        &["show", "registrations"],
        "list all registered devices",
        "One line a binding: whose, where it is reached, and how long it still lasts. \"show user\" \
         tells more.",
        show::registrations,
    ),
    look(
        &["show", "alarms"],
        "list alarms and what to do about them",
        "Alarms that stand come first; some that have ended follow.",
        show::alarms,
    ),
    Command {
        words: &["show", "log"],
        values: &[],
        extras: &[
            Extra {
                word: "lines",
                value: Some(LINES),
                help: "how many of the newest lines, 100 unless given",
            },
            Extra { word: "at-least", value: Some(LEVEL), help: "only lines as severe as this" },
            Extra { word: "area", value: Some(AREA), help: "only lines of this area" },
            Extra { word: "contains", value: text("what to look for"), help: "only lines with it" },
        ],
        level: Level::Monitor,
        summary: "show the newest lines of the log",
        details: "Oldest line first. Several conditions must all hold.",
        example: "show log lines 20 at-least warn",
        run: show::log,
    },
    look(&["show", "log", "level"], "show how much is logged, area by area", "", show::log_levels),
    look(
        &["show", "settings"],
        "list all settings and where their values come from",
        "",
        show::settings,
    ),
    look(&["show", "sip"], "show domain, listeners and trusted peers of SIP", "", show::sip),
    look(&["show", "domain"], "show the domain that is served", "", show::domain),
    look(
        &["show", "tech-support"],
        "show everything that support asks for first",
        "Free of secrets. One-shot use writes it to a file: appliance show tech-support > file",
        show::tech_support,
    ),
    look(
        &["show", "cli", "pagination"],
        "show whether long output stops at each page",
        "",
        show::pagination,
    ),
    Command {
        words: &["set", "log", "level"],
        values: &[AREA, LEVEL],
        extras: &[],
        level: Level::Operator,
        summary: "log an area from this level on, at once",
        details: "\"default\" stands for all areas without a level of their own.",
        example: "set log level subscription debug",
        run: set::log_level,
    },
    Command {
        words: &["set", "cli", "pagination"],
        values: &[Slot { name: "STATE", kind: Kind::Choice(&["on", "off"]), help: "on or off" }],
        extras: &[],
        level: Level::Monitor,
        summary: "let long output stop at each page, or not",
        details: "Lasts until the shell is left. Output that does not go to a terminal never \
                  stops.",
        example: "set cli pagination off",
        run: set::pagination,
    },
    Command {
        words: &["unset", "log", "level"],
        values: &[AREA],
        extras: &[],
        level: Level::Operator,
        summary: "log an area as the default says, at once",
        details: "",
        example: "unset log level subscription",
        run: unset::log_level,
    },
    Command {
        words: &["user", "add"],
        values: &[Slot { help: "the new id: the user part of the SIP address", ..ID }],
        extras: &[
            Extra { word: "display-name", value: text("a name"), help: "the name shown to others" },
            Extra { word: "given-name", value: text("a name"), help: "the first name" },
            Extra { word: "surname", value: text("a name"), help: "the family name" },
            Extra { word: "mail", value: text("an address"), help: "the mail address" },
            Extra { word: "telephone", value: text("a number"), help: "the telephone number" },
            PASSWORD_STDIN,
        ],
        level: Level::Operator,
        summary: "add a user, enabled",
        details: "On a terminal the password is asked for twice and not shown; an empty one makes \
                  a user who cannot sign in but can be watched. Without a terminal such a user is \
                  added unless password-stdin is given.",
        example: "user add anna display-name \"Anna Beck\"",
        run: user::add,
    },
    Command {
        words: &["user", "delete"],
        values: &[ID],
        extras: &[],
        level: Level::Operator,
        summary: "remove a user with all devices, publications and subscriptions",
        details: "To keep a user out for a while, use \"user disable\".",
        example: "user delete anna",
        run: user::delete,
    },
    Command {
        words: &["user", "enable"],
        values: &[ID],
        extras: &[],
        level: Level::Operator,
        summary: "let a user in again",
        details: "Refused when the machine already has as many enabled users as it may have.",
        example: "user enable anna",
        run: user::enable,
    },
    Command {
        words: &["user", "disable"],
        values: &[ID],
        extras: &[],
        level: Level::Operator,
        summary: "keep a user out, and the data",
        details: "",
        example: "user disable anna",
        run: user::disable,
    },
    Command {
        words: &["user", "password"],
        values: &[ID],
        extras: &[PASSWORD_STDIN],
        level: Level::Operator,
        summary: "give a user a new password",
        details: "On a terminal the password is asked for twice and not shown.",
        example: "user password anna",
        run: user::password,
    },
    Command {
        words: &["user", "import"],
        values: &[Slot {
            name: "FILE",
            kind: Kind::File,
            help: "a CSV file, or - for standard input",
        }],
        extras: &[],
        level: Level::Operator,
        summary: "add and change users from a CSV file",
        details: "The first line names the columns, in any order: id (required), display-name, \
                  given-name, surname, mail, telephone, password. An empty field leaves what is \
                  there. Each line that is refused is named with its reason; the others take \
                  effect. The exit code is 1 when any line was refused.",
        example: "user import staff.csv",
        run: user::import,
    },
    Command {
        words: &["user", "list"],
        values: &[],
        extras: &[],
        level: Level::Monitor,
        summary: "list the users",
        details: "As \"show users\" does.",
        example: "",
        run: show::users,
    },
    look(
        &["utils", "service", "list"],
        "list the services and how they run",
        "",
        utils::service_list,
    ),
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

/// What words mean that begin several commands.
const GROUPS: &[(&[&str], &str)] = &[
    (&["show"], "look at something"),
    (&["show", "cli"], "how this shell behaves"),
    (&["set"], "change a setting"),
    (&["set", "cli"], "how this shell behaves"),
    (&["set", "log"], "how much is logged"),
    (&["unset"], "take a setting back"),
    (&["unset", "log"], "how much is logged"),
    (&["user"], "administer users"),
    (&["utils"], "work on the node itself"),
    (&["utils", "service"], "the services of the node"),
    (&["file"], "read logs"),
    (&["file", "list"], "list what there is"),
    (&["file", "view"], "show from the beginning"),
    (&["file", "tail"], "show the end and what is added"),
    (&["file", "search"], "show lines that hold a text"),
    (&["file", "get"], "write out whole"),
];

/// What the words mean that a command begins with.
pub(crate) fn help_of(path: &[&str]) -> &'static str {
    let command = COMMANDS.iter().find(|command| command.words == path);
    let group = GROUPS.iter().find(|(words, _)| *words == path).map(|(_, help)| *help);
    command.map(|command| command.summary).or(group).unwrap_or_default()
}
