//! `show …`

use super::{AREA, Command, Extra, ID, LEVEL, LINES, Level, look, text};
use crate::command::{backup, platform, show, upgrade, utils};

/// The commands, in the order of the manual.
pub(super) const COMMANDS: &[Command] = &[
    look(
        &["show", "status"],
        "show how the node is doing",
        "State, clock, uptime, load, memory and disk, how much is registered, published and \
         subscribed, and where SIP is listened for.",
        show::status,
    ),
    look(&["show", "version"], "show what is installed", "", show::version),
    look(
        &["show", "version", "active"],
        "show what is in the slot that runs",
        "",
        upgrade::show_active,
    ),
    look(
        &["show", "version", "inactive"],
        "show what is in the other slot",
        "Also why it was left, where it was.",
        upgrade::show_inactive,
    ),
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
    look(
        &["show", "upgrade"],
        "show the two slots and how far an upgrade is",
        "Also which slot failed, when and why, and how long the latest switch took.",
        upgrade::show,
    ),
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
        &["show", "network"],
        "show the network, as set and as it is",
        "Addresses, gateways, name servers; also whether a change waits for \"set network confirm\".",
        platform::network,
    ),
    look(&["show", "time"], "show clock, time zone and time servers", "", platform::time),
    Command {
        words: &["show", "timezones"],
        values: &[],
        extras: &[Extra {
            word: "contains",
            value: text("a part of the name"),
            help: "only time zones whose name holds it",
        }],
        level: Level::Monitor,
        summary: "list the time zones",
        details: "",
        example: "show timezones contains europe",
        run: platform::time_zones,
    },
    look(
        &["show", "services"],
        "list the services and how they run",
        "As \"utils service list\" does.",
        utils::service_list,
    ),
    look(&["show", "ssh", "keys"], "list the public keys that may sign in", "", platform::ssh_keys),
    look(
        &["show", "ssh", "client", "key"],
        "show the public key by which this machine signs in elsewhere",
        "For SFTP servers that bundles are fetched from and backups are left at.",
        platform::client_key,
    ),
    look(
        &["show", "trust"],
        "show whose certificates are believed over HTTPS",
        "By their fingerprints, as openssl x509 -fingerprint -sha256 prints them.",
        platform::trust,
    ),
    look(&["show", "backup"], "show when backups are made, and the latest", "", backup::show),
    look(&["show", "syslog"], "show where logs are sent", "", platform::syslog),
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
];
