//! The manual, made from the table.

use super::{Command, Kind, table};

/// The hidden argument of `help` that prints the manual as Markdown, for the documentation.
pub(crate) const MARKDOWN: &str = "--markdown";

const WIDTH: usize = 76;

/// The syntax of a command: `user add ID [display-name TEXT] …`.
pub(crate) fn syntax(command: &Command) -> String {
    let mut syntax = command.words.join(" ");
    for slot in command.values {
        syntax.push(' ');
        if slot.kind == Kind::Command {
            syntax.push_str(&format!("[{}…]", slot.name));
        } else {
            syntax.push_str(slot.name);
        }
        if slot.kind.most() > 1 {
            syntax.push('…');
        }
    }
    for extra in command.extras {
        match &extra.value {
            Some(slot) => syntax.push_str(&format!(" [{} {}]", extra.word, slot.name)),
            None => syntax.push_str(&format!(" [{}]", extra.word)),
        }
    }
    syntax
}

/// The commands whose name begins with these words.
fn chapter(path: &[&str]) -> impl Iterator<Item = &'static Command> {
    table::commands().filter(move |command| command.words.starts_with(path))
}

/// The manual of all commands that begin with these words: in full for one command, else a line
/// for each.
pub(crate) fn manual(path: &[&str]) -> Vec<String> {
    let exact = table::commands().find(|command| command.words == path);
    let mut lines = exact.map(explained).unwrap_or_default();
    let others: Vec<_> = chapter(path).filter(|command| command.words != path).collect();
    if others.is_empty() {
        return lines;
    }
    if path.is_empty() {
        lines.extend(INTRODUCTION.iter().map(|line| (*line).to_owned()));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for command in others {
        lines.push(syntax(command));
        lines.push(format!("    {}", command.summary));
    }
    lines
}

const INTRODUCTION: &[&str] = &[
    "? at any point lists what may follow, Tab completes words and user ids.",
    "Every word can be cut short as long as it stays clear which one is meant.",
    "Values with blanks stand in quotes: \"Anna Beck\".",
    "Ctrl-C drops the line or ends a running command, exit or Ctrl-D leaves.",
    "\"help COMMAND\" explains a command in full.",
];

fn explained(command: &'static Command) -> Vec<String> {
    let mut lines = vec![syntax(command)];
    lines.extend(wrap(&sentence(command.summary)).map(|line| format!("    {line}")));
    lines.extend(wrap(command.details).map(|line| format!("    {line}")));
    let slots = command.values.iter().map(|slot| (slot.name.to_owned(), slot.help));
    let extras = command.extras.iter().map(|extra| match &extra.value {
        Some(slot) => (format!("{} {}", extra.word, slot.name), extra.help),
        None => (extra.word.to_owned(), extra.help),
    });
    let arguments: Vec<_> = slots.chain(extras).collect();
    let width = arguments.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    if !arguments.is_empty() {
        lines.push(String::new());
        lines.extend(arguments.iter().map(|(name, help)| format!("    {name:width$}  {help}")));
    }
    lines.push(String::new());
    if !command.example.is_empty() {
        lines.push(format!("    Example:   {}", command.example));
    }
    lines.push(format!("    Privilege: {}", command.level.number()));
    lines
}

/// The whole manual as Markdown.
pub(crate) fn markdown() -> Vec<String> {
    let mut lines = vec![
        "# Commands of the appliance".to_owned(),
        String::new(),
        "Made from the command table by `appliance help --markdown`; do not edit.".to_owned(),
        String::new(),
    ];
    lines.extend(INTRODUCTION.iter().map(|line| format!("- {line}")));
    for command in table::commands() {
        lines.push(String::new());
        lines.push(format!("## {}", command.words.join(" ")));
        lines.push(String::new());
        lines.push("```text".to_owned());
        lines.extend(explained(command));
        lines.push("```".to_owned());
    }
    lines
}

fn sentence(summary: &str) -> String {
    let mut characters = summary.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

fn wrap(text: &str) -> impl Iterator<Item = String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}
