//! `user …`

use super::{Command, Extra, ID, Kind, Level, PASSWORD_STDIN, Slot, text};
use crate::command::{show, user};

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
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
];
