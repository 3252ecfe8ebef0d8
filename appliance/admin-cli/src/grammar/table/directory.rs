//! `… ldap …`, `directory …`, `user device …`

use super::{Command, Extra, FORCE, ID, Kind, Level, Slot, look, text};
use crate::command::directory;

const NAME: Slot = Slot { name: "NAME", kind: Kind::Text, help: "what you call the directory" };
const DEVICE: Slot =
    Slot { name: "DEVICE", kind: Kind::Text, help: "what you call the device: deskphone" };

const fn choice(words: &'static [&'static str], help: &'static str) -> Option<Slot> {
    Some(Slot { name: "CHOICE", kind: Kind::Choice(words), help })
}

const fn number(
    name: &'static str,
    minimum: u32,
    maximum: u32,
    help: &'static str,
) -> Option<Slot> {
    Some(Slot { name, kind: Kind::Number { minimum, maximum }, help })
}

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    look(
        &["show", "ldap"],
        "the directories that users come from, and how they do",
        "With the attributes that are read, and what is missing before a directory can be.",
        directory::show,
    ),
    look(
        &["show", "ldap-groups"],
        "the groups of the directories, with their members",
        "Members of groups in groups are among them.",
        directory::groups,
    ),
    Command {
        words: &["set", "ldap"],
        values: &[NAME],
        extras: &[
            Extra {
                word: "type",
                value: choice(&["openldap", "ad", "adlds", "389"], "whose product it is"),
                help: "whose product it is, which says what attributes and filters are usual",
            },
            Extra {
                word: "servers",
                value: text("HOST or HOST:PORT, with commas between"),
                help: "servers with the same content, three at most, tried in this order",
            },
            Extra {
                word: "security",
                value: choice(&["ldaps", "starttls", "plain"], "how others are kept out"),
                help: "ldaps (port 636, the usual one), starttls (389), or plain",
            },
            Extra {
                word: "trust",
                value: None,
                help: "read certificates (PEM) that are believed: the server's or its authority's",
            },
            Extra { word: "no-trust", value: None, help: "believe no certificates but the pinned" },
            Extra {
                word: "pin",
                value: text("fingerprints, with commas between, or none"),
                help: "SHA-256 fingerprints of server certificates that are believed",
            },
            Extra {
                word: "bind-dn",
                value: text("a distinguished name, or none"),
                help: "the account that reads; none for anonymous",
            },
            Extra {
                word: "password",
                value: None,
                help: "ask for its password, or read it from the first line of standard input",
            },
            Extra {
                word: "base",
                value: text("a distinguished name"),
                help: "the entry below which people are",
            },
            Extra {
                word: "scope",
                value: choice(&["subtree", "one"], "how deep"),
                help: "everything below the base, or only what is directly below it",
            },
            Extra {
                word: "filter",
                value: text("a filter, or default"),
                help: "which entries are people (RFC 4515)",
            },
            Extra {
                word: "attributes",
                value: text("FIELD=ATTRIBUTE, with commas between, or default"),
                help: "attributes other than the usual ones; \"show ldap\" lists the fields",
            },
            Extra {
                word: "groups",
                value: text("a filter, or none"),
                help: "which entries are groups that become lists",
            },
            Extra {
                word: "schedule",
                value: number("MINUTES", 0, 10_080, "0 to 10080"),
                help: "how often it is synchronized; 0 for only when asked",
            },
            Extra {
                word: "grace",
                value: number("HOURS", 0, 8_760, "0 to 8760"),
                help: "how long the user of a vanished entry is kept, disabled; 24 at first",
            },
        ],
        level: Level::Administrator,
        summary: "set up a directory, or change one",
        details: "What is not named stays. The password is asked for, or is the first line of standard input; certificates follow it. The password is kept encrypted. Try the result with \"utils ldap test\", look with \"utils ldap preview\", then synchronize with \"utils ldap sync\" or a schedule.",
        example: "set ldap office type ad servers dc1.example.org,dc2.example.org base \"dc=example,dc=org\" bind-dn \"cn=lamp,cn=Users,dc=example,dc=org\" password trust schedule 15",
        run: directory::set,
    },
    Command {
        words: &["unset", "ldap"],
        values: &[NAME],
        extras: &[FORCE],
        level: Level::Administrator,
        summary: "forget a directory",
        details: "Its users stay as local users, without the password that the directory knows.",
        example: "unset ldap office",
        run: directory::unset,
    },
    Command {
        words: &["utils", "ldap", "test"],
        values: &[NAME],
        extras: &[],
        level: Level::Monitor,
        summary: "try each server of a directory",
        details: "Connection, certificate, account, base, filter and attributes; shows one of the people as this node sees them. Nothing is changed. The exit code is 1 when a server cannot be used.",
        example: "utils ldap test office",
        run: directory::test,
    },
    Command {
        words: &["utils", "ldap", "preview"],
        values: &[NAME],
        extras: &[Extra { word: "force", value: None, help: "as if \"sync\" were given force" }],
        level: Level::Monitor,
        summary: "say what a synchronization would do",
        details: "Everything is read, nothing is changed.",
        example: "utils ldap preview office",
        run: directory::preview,
    },
    Command {
        words: &["utils", "ldap", "sync"],
        values: &[NAME],
        extras: &[
            Extra { word: "full", value: None, help: "read everything, not only what has changed" },
            Extra {
                word: "force",
                value: None,
                help: "believe it when at least half of the people have vanished",
            },
        ],
        level: Level::Administrator,
        summary: "bring the users up to date with a directory, now",
        details: "New people become users as far as the machine carries them, in the order of their ids. Whoever has vanished is disabled at once, and deleted after the grace period. When the directory answers with nobody, or has lost half of its people at once, nobody is disabled.",
        example: "utils ldap sync office",
        run: directory::sync,
    },
    Command {
        words: &["directory", "search"],
        values: &[Slot { name: "TEXT", kind: Kind::Text, help: "words; quotes around several" }],
        extras: &[
            Extra { word: "field", value: text("a field"), help: "only in this field: mail" },
            Extra {
                word: "offset",
                value: number("COUNT", 0, 1_000_000, "a number"),
                help: "pass over so many",
            },
            Extra {
                word: "limit",
                value: number("COUNT", 1, 100, "1 to 100"),
                help: "how many are shown; 25 at first",
            },
        ],
        level: Level::Monitor,
        summary: "find people of the directories, and local users",
        details: "All words must be found, anywhere in what is known of a person; case and accents do not matter. Those in whom each word begins a word come first.",
        example: "directory search \"anna be\"",
        run: directory::search,
    },
    Command {
        words: &["directory", "show"],
        values: &[ID],
        extras: &[],
        level: Level::Monitor,
        summary: "everything that is known of a person",
        details: "",
        example: "directory show anna",
        run: directory::person,
    },
    Command {
        words: &["user", "device", "add"],
        values: &[ID, DEVICE],
        extras: &[],
        level: Level::Operator,
        summary: "make SIP credentials for one device of a user",
        details: "For users whose password only a directory knows, and for phones that are not to hold anybody's password. They are shown this once; giving the same device again replaces them.",
        example: "user device add anna deskphone",
        run: directory::add_device,
    },
    Command {
        words: &["user", "device", "delete"],
        values: &[ID, DEVICE],
        extras: &[],
        level: Level::Operator,
        summary: "take a device's credentials away",
        details: "What it has registered stays until it expires.",
        example: "user device delete anna deskphone",
        run: directory::delete_device,
    },
];
