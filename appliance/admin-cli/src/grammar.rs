//! The commands' grammar: what a command is, and the walk along a line that parser, `?` and Tab
//! share. The commands themselves stand in [`table`], each once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::answers;
use crate::session::{Outcome, Session};

use self::lexer::{Lexed, Token, lex};

pub(crate) mod lexer;
pub(crate) mod manual;
pub(crate) mod misuse;
pub(crate) mod table;

pub(crate) use self::misuse::Misuse;

/// Who may use a command, as administrators of the predecessor know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// May look.
    Monitor = 0,
    /// May administer users and what is logged.
    Operator = 1,
    /// May do everything.
    Administrator = 4,
}

impl Level {
    /// The level as a number, for the manual.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Monitor => 0,
            Self::Operator => 1,
            Self::Administrator => 4,
        }
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A user's id; Tab asks the daemon.
    UserId,
    /// Any text; blanks need quotes.
    Text,
    /// A whole number.
    Number { minimum: u32, maximum: u32 },
    /// One of these words, or an unambiguous prefix of one.
    Choice(&'static [&'static str]),
    /// An area of the log; Tab asks the daemon.
    LogArea,
    /// A log; Tab asks the daemon.
    Log,
    /// A file on the side of the CLI.
    File,
    /// A time zone; Tab asks the platform.
    TimeZone,
    /// A service; Tab asks the platform.
    Service,
    /// A capture; Tab asks the platform.
    Capture,
    /// The fingerprint of a public key; Tab asks the platform.
    SshKey,
    /// An address.
    Address,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv4 address with the length of its network's prefix.
    Ipv4Block,
    /// An IPv6 address with the length of its network's prefix.
    Ipv6Block,
    /// Addresses, at least one; nothing but words of the list may follow.
    Addresses { most: usize },
    /// Words, at least one; nothing but words of the list may follow.
    Words { most: usize },
    /// The words of a command, as many as there are, or none.
    Command,
}

impl Kind {
    /// How many words it may have.
    pub(crate) const fn most(self) -> usize {
        match self {
            Self::Addresses { most } | Self::Words { most } => most,
            _ => 1,
        }
    }
}

/// A value that a command takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// What it is called in the syntax.
    pub(crate) name: &'static str,
    /// What it may be.
    pub(crate) kind: Kind,
    /// What it means.
    pub(crate) help: &'static str,
}

/// A word that may follow the values of a command, once, in any order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extra {
    /// The word.
    pub(crate) word: &'static str,
    /// The value behind it.
    pub(crate) value: Option<Slot>,
    /// What it means.
    pub(crate) help: &'static str,
}

/// What a command does.
pub(crate) type Run = fn(&mut Session, &Arguments) -> Outcome;

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// The words that name it.
    pub(crate) words: &'static [&'static str],
    /// The values that must follow.
    pub(crate) values: &'static [Slot],
    /// What may follow then.
    pub(crate) extras: &'static [Extra],
    /// Who may use it.
    pub(crate) level: Level,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
    /// What else there is to know.
    pub(crate) details: &'static str,
    /// How it is used.
    pub(crate) example: &'static str,
    /// Does it.
    pub(crate) run: Run,
}

/// The values on a command line, by the name of their slot or the word before them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Arguments(BTreeMap<&'static str, String>);

impl Arguments {
    /// The value of a slot or of an extra; absent when not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a slot that the grammar has made sure of.
    pub(crate) fn required(&self, name: &str) -> &str {
        debug_assert!(self.0.contains_key(name), "the table has no slot {name}");
        self.text(name).unwrap_or_default()
    }

    /// The words of a list.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.required(name).split(' ').map(str::to_owned).collect()
    }

    /// A number that the grammar has made sure of.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// Whether an extra without a value was given.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.contains_key(word)
    }
}

/// What may follow at a place of the line.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Words, in order, with what they mean.
    pub(crate) words: Vec<(&'static str, &'static str)>,
    /// A value.
    pub(crate) value: Option<&'static Slot>,
    /// The line may end here: this command is then run.
    pub(crate) complete: Option<&'static Command>,
}

/// Why a word does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// No word that may stand here begins so.
    Unknown,
    /// Several words that may stand here begin so.
    Ambiguous(Vec<&'static str>),
    /// The value is not what it may be, and why.
    BadValue(String),
    /// The command is complete already.
    NothingMore,
}

/// A walk along the words of a line.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    alive: Vec<&'static Command>,
    words: usize,
    values: usize,
    /// Words of the list that the next value is.
    listed: usize,
    pending: Option<&'static Extra>,
    arguments: Arguments,
    /// The command named behind `help`.
    nested: Option<Box<Self>>,
}

impl Walk {
    /// At the start of a line of someone who has this level.
    pub(crate) fn new(level: Level) -> Self {
        Self {
            alive: table::commands().filter(|command| command.level <= level).collect(),
            words: 0,
            values: 0,
            listed: 0,
            pending: None,
            arguments: Arguments::default(),
            nested: None,
        }
    }

    /// What may follow.
    pub(crate) fn expected(&self) -> Expected {
        if let Some(nested) = &self.nested {
            let words = nested.expected_words();
            return Expected { words, value: None, complete: self.alive.first().copied() };
        }
        let mut expected = Expected { words: self.expected_words(), ..Expected::default() };
        let named = self.alive.iter().copied().find(|command| command.words.len() == self.words);
        if let Some(slot) = self.pending.and_then(|extra| extra.value.as_ref()) {
            expected.value = Some(slot);
        } else if let Some(command) = named {
            expected.value = command.values.get(self.values);
            if self.listed > 0 {
                expected.complete = Some(command);
            } else if expected.value.is_none() {
                let free = command.extras.iter().filter(|extra| !self.arguments.has(extra.word));
                expected.words.extend(free.map(|extra| (extra.word, extra.help)));
                expected.complete = Some(command);
            }
        }
        expected
    }

    /// The words that go on with a command's name.
    fn expected_words(&self) -> Vec<(&'static str, &'static str)> {
        let mut words: Vec<(&'static str, &'static str)> = Vec::new();
        for command in &self.alive {
            let Some(word) = command.words.get(self.words).copied() else { continue };
            if !words.iter().any(|(known, _)| *known == word) {
                let path = command.words.get(..=self.words).unwrap_or_default();
                words.push((word, table::help_of(path)));
            }
        }
        words
    }

    /// Takes the next word.
    ///
    /// # Errors
    /// The word does not fit; the walk stays where it was.
    pub(crate) fn step(&mut self, token: &Token) -> Result<(), Mismatch> {
        if let Some(nested) = &mut self.nested {
            if token.text == manual::MARKDOWN {
                self.arguments.0.insert(manual::MARKDOWN, String::new());
                return Ok(());
            }
            let word = pick(&nested.expected_words(), &token.text)?;
            nested.take_word(word);
            let path = self.arguments.0.entry("COMMAND").or_default();
            if !path.is_empty() {
                path.push(' ');
            }
            path.push_str(word);
            return Ok(());
        }
        let expected = self.expected();
        if let Some(slot) = expected.value {
            return self.take_value(slot, &token.text);
        }
        let word = pick(&expected.words, &token.text)?;
        if self.alive.iter().any(|command| command.words.get(self.words) == Some(&word)) {
            self.take_word(word);
            let helps = |command: &&Command| {
                command.words.len() == self.words
                    && command.values.first().is_some_and(|slot| slot.kind == Kind::Command)
            };
            if self.alive.first().is_some_and(helps) {
                self.nested = Some(Box::new(Self::new(Level::Administrator)));
            }
            return Ok(());
        }
        self.settle();
        let extras = self.alive.first().map(|command| command.extras).unwrap_or_default();
        if let Some(extra) = extras.iter().find(|extra| extra.word == word) {
            match extra.value {
                Some(_) => self.pending = Some(extra),
                None => drop(self.arguments.0.insert(extra.word, String::new())),
            }
        }
        Ok(())
    }

    fn take_word(&mut self, word: &str) {
        let at = self.words;
        self.alive.retain(|command| command.words.get(at) == Some(&word));
        self.words += 1;
    }

    /// Leaves only the command that is named in full.
    fn settle(&mut self) {
        let words = self.words;
        self.alive.retain(|command| command.words.len() == words);
    }

    fn take_value(&mut self, slot: &'static Slot, text: &str) -> Result<(), Mismatch> {
        let value = accept(slot, text)?;
        self.settle();
        match self.pending.take() {
            Some(extra) => drop(self.arguments.0.insert(extra.word, value)),
            None if slot.kind.most() > 1 => {
                let list = self.arguments.0.entry(slot.name).or_default();
                if self.listed > 0 {
                    list.push(' ');
                }
                list.push_str(&value);
                self.listed += 1;
                if self.listed == slot.kind.most() {
                    (self.values, self.listed) = (self.values + 1, 0);
                }
            }
            None => {
                self.values += 1;
                self.arguments.0.insert(slot.name, value);
            }
        }
        Ok(())
    }
}

/// The word meant by a prefix.
fn pick(words: &[(&'static str, &'static str)], prefix: &str) -> Result<&'static str, Mismatch> {
    let matching: Vec<&'static str> =
        words.iter().map(|(word, _)| *word).filter(|word| word.starts_with(prefix)).collect();
    match matching.as_slice() {
        [] if words.is_empty() => Err(Mismatch::NothingMore),
        [only] if !prefix.is_empty() => Ok(only),
        _ if matching.is_empty() || prefix.is_empty() => Err(Mismatch::Unknown),
        several => match several.iter().find(|word| **word == prefix) {
            Some(exact) => Ok(exact),
            None => Err(Mismatch::Ambiguous(matching)),
        },
    }
}

/// The value as the command gets it.
fn accept(slot: &Slot, text: &str) -> Result<String, Mismatch> {
    if text.chars().any(char::is_control) {
        let why = format!("{} may not hold control characters", slot.name);
        return Err(Mismatch::BadValue(why));
    }
    if text.is_empty() && slot.kind != Kind::Text {
        return Err(Mismatch::BadValue(format!("{} may not be empty", slot.name)));
    }
    match slot.kind {
        Kind::Number { minimum, maximum } => match text.parse::<u32>() {
            Ok(number) if (minimum..=maximum).contains(&number) => Ok(number.to_string()),
            _ => {
                let why = format!("{} is a number from {minimum} to {maximum}", slot.name);
                Err(Mismatch::BadValue(why))
            }
        },
        Kind::Choice(choices) => {
            let words: Vec<_> = choices.iter().map(|choice| (*choice, "")).collect();
            pick(&words, text).map(str::to_owned).map_err(|mismatch| match mismatch {
                Mismatch::Unknown => {
                    Mismatch::BadValue(format!("{} is one of {}", slot.name, choices.join(", ")))
                }
                other => other,
            })
        }
        Kind::Address | Kind::Addresses { .. } => parsed(text.parse::<IpAddr>(), text, slot),
        Kind::Ipv4 => parsed(text.parse::<Ipv4Addr>(), text, slot),
        Kind::Ipv6 => parsed(text.parse::<Ipv6Addr>(), text, slot),
        Kind::Ipv4Block => answers::ipv4(text).map(|_| text.to_owned()).map_err(Mismatch::BadValue),
        Kind::Ipv6Block => answers::ipv6(text).map(|_| text.to_owned()).map_err(Mismatch::BadValue),
        Kind::Words { .. } if text.contains(' ') => {
            Err(Mismatch::BadValue(format!("{} holds no blanks", slot.name)))
        }
        Kind::UserId
        | Kind::Text
        | Kind::LogArea
        | Kind::Log
        | Kind::File
        | Kind::TimeZone
        | Kind::Service
        | Kind::Capture
        | Kind::SshKey
        | Kind::Words { .. }
        | Kind::Command => Ok(text.to_owned()),
    }
}

/// The text when it is an address of that kind.
fn parsed<T, E>(address: Result<T, E>, text: &str, slot: &Slot) -> Result<String, Mismatch> {
    let kind = match slot.kind {
        Kind::Ipv4 => "an IPv4 address, like 192.0.2.1",
        Kind::Ipv6 => "an IPv6 address, like 2001:db8::1",
        _ => "an address, like 192.0.2.1",
    };
    let wrong = |_| Mismatch::BadValue(format!("{} is {kind}", slot.name));
    address.map(|_| text.to_owned()).map_err(wrong)
}

/// A line that can be run.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The command.
    pub(crate) command: &'static Command,
    /// Its values.
    pub(crate) arguments: Arguments,
}

/// Reads a whole line.
///
/// # Errors
/// [`Misuse`] says where reading stopped, why, and what could stand there.
pub(crate) fn parse(line: &str, level: Level) -> Result<Parsed, Misuse> {
    let Lexed { tokens, is_open, .. } = lex(line);
    if is_open {
        return Err(Misuse::open_quote(line));
    }
    let walk = follow(line, &tokens, level)?;
    let expected = walk.expected();
    match expected.complete {
        Some(command) => Ok(Parsed { command, arguments: walk.arguments }),
        None => Err(Misuse::incomplete(line, &expected)),
    }
}

/// What may stand at the end of an unfinished line, narrowed to what the last, unfinished word
/// allows.
///
/// # Errors
/// A word before it does not fit.
pub(crate) fn what_follows(line: &str, level: Level) -> Result<(Expected, String), Misuse> {
    let Lexed { mut tokens, is_between_words, .. } = lex(line);
    let unfinished = if is_between_words { None } else { tokens.pop() };
    let mut expected = follow(line, &tokens, level)?.expected();
    let Some(unfinished) = unfinished else { return Ok((expected, String::new())) };
    expected.complete = None;
    expected.words.retain(|(word, _)| word.starts_with(&unfinished.text));
    Ok((expected, unfinished.text))
}

fn follow(line: &str, tokens: &[Token], level: Level) -> Result<Walk, Misuse> {
    let mut walk = Walk::new(level);
    for token in tokens {
        let before = walk.expected();
        walk.step(token).map_err(|mismatch| Misuse::at(line, token, mismatch, &before))?;
    }
    Ok(walk)
}

#[cfg(test)]
mod tests;
