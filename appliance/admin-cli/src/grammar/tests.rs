//! Every command by full words and by prefixes, and what is said when a line is none.

use proptest::prelude::*;

use super::{Command, Kind, Level, Misuse, Slot, manual, parse, table, what_follows};

const ADMINISTRATOR: Level = Level::Administrator;

/// A value that the slot takes.
fn value(slot: &Slot) -> &'static str {
    match slot.kind {
        Kind::UserId
        | Kind::LogArea
        | Kind::Log
        | Kind::File
        | Kind::TimeZone
        | Kind::Service
        | Kind::Capture
        | Kind::SshKey
        | Kind::Words { .. } => "x1",
        Kind::Address | Kind::Ipv4 | Kind::Addresses { .. } => "192.0.2.1",
        Kind::Ipv6 => "2001:db8::1",
        Kind::Ipv4Block => "192.0.2.5/24",
        Kind::Ipv6Block => "2001:db8::5/64",
        Kind::Text => "'some text'",
        Kind::Number { minimum, .. } if minimum > 7 => "700",
        Kind::Number { .. } => "7",
        Kind::Choice(choices) => choices[0],
        Kind::Command => "show",
    }
}

/// The line with the values and, when asked for, the extras of a command.
fn with_values(name: &str, command: &Command, has_extras: bool) -> String {
    let mut line = name.to_owned();
    for slot in command.values {
        line.push(' ');
        line.push_str(value(slot));
    }
    for extra in command.extras.iter().filter(|_| has_extras) {
        line.push(' ');
        line.push_str(extra.word);
        if let Some(slot) = &extra.value {
            line.push(' ');
            line.push_str(value(slot));
        }
    }
    line
}

fn named(line: &str) -> String {
    parse(line, ADMINISTRATOR).unwrap().command.words.join(" ")
}

fn misuse(line: &str) -> Misuse {
    parse(line, ADMINISTRATOR).unwrap_err()
}

#[test]
fn every_command_is_understood_in_full() {
    for command in table::commands() {
        let name = command.words.join(" ");
        for has_extras in [false, true] {
            let line = with_values(&name, command, has_extras);
            assert_eq!(named(&line), name, "{line}");
        }
    }
}

#[test]
fn every_command_is_understood_by_its_shortest_unambiguous_prefixes() {
    for command in table::commands() {
        let mut short = Vec::new();
        for (at, word) in command.words.iter().enumerate() {
            let siblings: Vec<&str> = table::commands()
                .filter(|other| other.words.get(..at) == command.words.get(..at))
                .flat_map(|other| {
                    let extras = other.extras.iter().map(|extra| extra.word);
                    let follows = other.words.len() == at;
                    other.words.get(at).copied().into_iter().chain(extras.filter(move |_| follows))
                })
                .collect();
            let is_clear = |length: &usize| {
                let prefix = &word[..*length];
                siblings.iter().all(|other| other == word || !other.starts_with(prefix))
            };
            let length = (1..word.len()).find(is_clear).unwrap_or(word.len());
            short.push(&word[..length]);
        }
        let line = with_values(&short.join(" "), command, false);
        assert_eq!(named(&line), command.words.join(" "), "{line}");
    }
}

#[test]
fn the_table_is_sound() {
    for command in table::commands() {
        let name = command.words.join(" ");
        for length in 1..=command.words.len() {
            assert_ne!(table::help_of(&command.words[..length]), "", "{name}");
        }
        let same = table::commands().filter(|other| other.words == command.words);
        assert_eq!(same.count(), 1, "{name}");
        // Words that go on never stand where a value may: a line would have two meanings.
        let goes_on = |other: &&Command| {
            other.words.len() > command.words.len() && other.words.starts_with(command.words)
        };
        let longer: Vec<_> = table::commands().filter(goes_on).collect();
        assert!(longer.is_empty() || command.values.is_empty(), "{name}");
        for other in longer {
            let word = other.words[command.words.len()];
            assert!(command.extras.iter().all(|extra| extra.word != word), "{name} {word}");
        }
        if !command.example.is_empty() {
            assert_eq!(named(command.example), name, "{}", command.example);
        }
        let is_plain = |text: &str| !text.ends_with('.') && text.starts_with(char::is_lowercase);
        assert!(is_plain(command.summary), "{name}");
    }
}

#[test]
fn values_and_extras_reach_the_command() {
    let line = "us a anna sur 'van Dyk' disp \"Anna \\\"A\\\"\" password-stdin";
    let arguments = parse(line, ADMINISTRATOR).unwrap().arguments;
    assert_eq!(arguments.required("ID"), "anna");
    assert_eq!(arguments.text("surname"), Some("van Dyk"));
    assert_eq!(arguments.text("display-name"), Some("Anna \"A\""));
    assert_eq!(arguments.text("mail"), None);
    assert!(arguments.has("password-stdin"));

    let parsed = parse("show log lines 0020 at-least w contains ''", ADMINISTRATOR).unwrap();
    assert_eq!(parsed.arguments.number("lines"), Some(20));
    assert_eq!(parsed.arguments.text("at-least"), Some("warn"));
    assert_eq!(parsed.arguments.text("contains"), Some(""));
}

#[test]
fn ambiguous_words_list_what_they_could_be() {
    let lines = misuse("show us").lines();
    assert_eq!(lines[0], "Ambiguous command");
    assert_eq!(lines[1], "  show us");
    assert_eq!(lines[2], "       ^ \"us\" could be users, user");
    // A whole word is not ambiguous, whatever else begins with it.
    assert_eq!(named("show user anna"), "show user");
    assert_eq!(named("show users"), "show users");
    assert_eq!(named("show log"), "show log");
    assert!(misuse("show log l").lines()[2].contains("level, lines"));
    assert!(misuse("s status").lines()[2].contains("show, set"));
}

#[test]
fn unknown_words_are_pointed_at_with_the_nearest_that_are_known() {
    let lines = misuse("show statsu").lines();
    assert_eq!(lines[0], "No valid command entered");
    assert_eq!(lines[1], "  show statsu");
    assert_eq!(lines[2], "       ^ \"statsu\" is not known here; nearest: status");
    assert_eq!(lines[3], "  \"show ?\" lists what may stand there");
    assert!(misuse("xyzzy").lines()[2].contains("possible here: show, set, unset, user, utils"));
    assert!(misuse("show hardware now").lines()[2].contains("too much"));
    assert!(misuse("show log lines 20 lines 30").lines()[2].contains("not known here"));
}

#[test]
fn wide_and_dangerous_characters_do_not_move_the_pointer_or_the_terminal() {
    let lines = misuse("show user 漢字 x\u{1b}[2J").lines();
    assert_eq!(lines[1], "  show user 漢字 x\\u{1b}[2J");
    assert!(lines[2].starts_with("                 ^"), "{lines:?}");
    assert!(misuse("user add \"a\u{1b}b\"").why.contains("control characters"));
}

#[test]
fn what_is_missing_is_named() {
    let lines = misuse("show user ").lines();
    assert_eq!(lines[0], "Incomplete command");
    assert_eq!(lines[1], "  show user");
    assert_eq!(lines[2], "            ^ more must follow: ID");
    assert!(misuse("user add anna mail").why.contains("TEXT"));
    assert!(misuse("set log level sip").why.contains("LEVEL"));
    assert!(misuse("user add 'anna").why.contains("quote"));
}

#[test]
fn values_outside_what_is_allowed_are_explained() {
    assert_eq!(misuse("show log lines many").why, "COUNT is a number from 1 to 2000");
    assert_eq!(misuse("show log lines 2001").why, "COUNT is a number from 1 to 2000");
    assert!(misuse("set log level sip loud").why.starts_with("LEVEL is one of error, warn"));
    assert_eq!(misuse("user delete ''").why, "ID may not be empty");
}

#[test]
fn what_may_follow_is_known_at_every_point_of_every_command() {
    for command in table::commands() {
        let name = command.words.join(" ");
        for (at, _) in name.char_indices() {
            let (expected, _) = what_follows(&name[..at], ADMINISTRATOR).unwrap();
            assert!(!expected.words.is_empty(), "{}", &name[..at]);
        }
        let line = format!("{} ", with_values(&name, command, true));
        let (expected, _) = what_follows(&line, ADMINISTRATOR).unwrap();
        assert_eq!(expected.complete.unwrap().words, command.words);
    }
    let (expected, typed) = what_follows("show use", ADMINISTRATOR).unwrap();
    assert_eq!(expected.words.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["users", "user"]);
    assert_eq!(typed, "use");
    assert!(what_follows("shwo ", ADMINISTRATOR).is_err());
}

#[test]
fn who_may_only_look_sees_only_that() {
    assert_eq!(parse("show status", Level::Monitor).unwrap().command.level, Level::Monitor);
    assert!(parse("user delete anna", Level::Monitor).is_err());
    let (expected, _) = what_follows("user ", Level::Monitor).unwrap();
    assert_eq!(expected.words.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["list"]);
}

#[test]
fn help_explains_every_command_and_every_beginning() {
    assert_eq!(named("help sho log lev"), "help");
    let parsed = parse("help sho log lev", ADMINISTRATOR).unwrap();
    assert_eq!(parsed.arguments.text("COMMAND"), Some("show log level"));
    assert!(parse("help show nonsense", ADMINISTRATOR).is_err());
    assert!(parse("help --markdown", ADMINISTRATOR).unwrap().arguments.has(manual::MARKDOWN));
    for command in table::commands() {
        for length in 0..=command.words.len() {
            let lines = manual::manual(&command.words[..length]);
            assert!(lines.contains(&manual::syntax(command)), "{:?}", command.words);
        }
    }
}

#[test]
fn the_written_manual_is_the_one_of_the_table() {
    let written = include_str!("../../COMMANDS.md");
    assert!(
        written.lines().eq(manual::markdown()),
        "COMMANDS.md is out of date: appliance help --markdown > appliance/admin-cli/COMMANDS.md"
    );
}

proptest! {
    #[test]
    fn any_line_is_a_command_or_explained_without_upsetting_the_terminal(
        head in prop::sample::select(
            table::commands().map(|command| command.words.join(" ")).collect::<Vec<_>>(),
        ),
        cut in 0_usize..40,
        tail in ".*",
    ) {
        let line = format!("{}{tail}", head.get(..cut).unwrap_or(&head));
        if let Err(misuse) = parse(&line, ADMINISTRATOR) {
            for text in misuse.lines() {
                prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
            }
            prop_assert!(!misuse.place().is_empty());
        }
        if let Ok((expected, typed)) = what_follows(&line, ADMINISTRATOR) {
            prop_assert!(expected.words.iter().all(|(word, _)| word.starts_with(&typed)));
        }
    }
}
