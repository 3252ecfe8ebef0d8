//! What Tab offers: words of the grammar, and names that the daemon knows.

use std::path::Path;
use std::time::Duration;

use admin_api::answer::Answer;
use admin_api::client::Client;
use admin_api::page::PageRequest;
use admin_api::platform::answer::Answer as PlatformAnswer;
use admin_api::platform::request as platform;
use admin_api::request::Request;
use admin_api::wire::Question;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::grammar::lexer::{lex, quote};
use crate::grammar::{Expected, Kind, Level, what_follows};
use crate::render::text::safe;
use crate::session::Sockets;

/// How many names are asked for; who sees so many goes on typing.
const NAMES: u32 = 100;

/// Nobody waits longer for a Tab.
const WITHIN: Duration = Duration::from_secs(2);

/// Completes lines.
#[derive(Debug)]
pub(crate) struct LineCompleter {
    /// Where the daemons are.
    pub(crate) sockets: Sockets,
    /// What the person may do.
    pub(crate) level: Level,
}

impl LineCompleter {
    fn candidates(&self, head: &str) -> (usize, Vec<Pair>) {
        let lexed = lex(head);
        let start = match lexed.tokens.last() {
            Some(token) if !lexed.is_between_words => token.start,
            _ => head.len(),
        };
        let Ok((expected, typed)) = what_follows(head, self.level) else {
            return (start, Vec::new());
        };
        let mut found: Vec<String> =
            expected.words.iter().map(|(word, _)| (*word).to_owned()).collect();
        found.extend(self.values(&expected, &typed));
        let is_only = found.len() == 1;
        let pair = |name: String| {
            let end = if is_only { " " } else { "" };
            Pair { replacement: format!("{}{end}", quote(&name)), display: safe(&name) }
        };
        (start, found.into_iter().map(pair).collect())
    }

    /// The values that may stand there and begin so.
    fn values(&self, expected: &Expected, typed: &str) -> Vec<String> {
        let Some(slot) = expected.value else { return Vec::new() };
        let names = match slot.kind {
            Kind::Choice(choices) => choices.iter().map(|choice| (*choice).to_owned()).collect(),
            Kind::UserId => self.user_ids(typed),
            Kind::LogArea => self.log_areas(),
            Kind::Log => self.logs(),
            Kind::TimeZone => self.time_zones(),
            Kind::Service => self.services(),
            Kind::Capture => self.captures(),
            Kind::SshKey => self.ssh_keys(),
            Kind::Text
            | Kind::Number { .. }
            | Kind::File
            | Kind::Command
            | Kind::Address
            | Kind::Ipv4
            | Kind::Ipv6
            | Kind::Ipv4Block
            | Kind::Ipv6Block
            | Kind::Addresses { .. }
            | Kind::Words { .. } => Vec::new(),
        };
        let typed = typed.to_ascii_lowercase();
        let fits = |name: &String| {
            name.to_ascii_lowercase().starts_with(&typed) && !name.chars().any(char::is_control)
        };
        names.into_iter().filter(fits).collect()
    }

    fn ask(&self, request: &Request) -> Option<Answer> {
        ask(&self.sockets.presence, request)
    }

    fn ask_platform(&self, request: &platform::Request) -> Option<PlatformAnswer> {
        ask(&self.sockets.platform, request)
    }

    fn user_ids(&self, typed: &str) -> Vec<String> {
        let page = PageRequest { after: None, limit: NAMES };
        let id_prefix = Some(typed.to_owned());
        match self.ask(&Request::ShowUsers { page, id_prefix }) {
            Some(Answer::Users(page)) => {
                page.items.into_iter().map(|user| user.id.to_string()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn log_areas(&self) -> Vec<String> {
        match self.ask(&Request::ShowLogLevels) {
            Some(Answer::LogLevels(levels)) => {
                let areas = levels.areas.into_iter().map(|level| level.area);
                areas.chain(["default".to_owned()]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn time_zones(&self) -> Vec<String> {
        match self.ask_platform(&platform::Request::ListTimeZones) {
            Some(PlatformAnswer::TimeZones(zones)) => zones,
            _ => Vec::new(),
        }
    }

    fn services(&self) -> Vec<String> {
        match self.ask_platform(&platform::Request::ListServices) {
            Some(PlatformAnswer::Services(list)) => list.into_iter().map(|s| s.name).collect(),
            _ => Vec::new(),
        }
    }

    fn captures(&self) -> Vec<String> {
        let area = platform::FileArea::Capture;
        match self.ask_platform(&platform::Request::ListFiles { area }) {
            Some(PlatformAnswer::Files(files)) => files.into_iter().map(|f| f.name).collect(),
            _ => Vec::new(),
        }
    }

    fn ssh_keys(&self) -> Vec<String> {
        match self.ask_platform(&platform::Request::ListSshKeys) {
            Some(PlatformAnswer::SshKeys(keys)) => {
                keys.into_iter().map(|key| key.fingerprint).collect()
            }
            _ => Vec::new(),
        }
    }

    fn logs(&self) -> Vec<String> {
        if let Some(PlatformAnswer::Logs(logs)) = self.ask_platform(&platform::Request::ListLogs) {
            return logs.into_iter().map(|log| log.name).collect();
        }
        match self.ask(&Request::ListLogs) {
            Some(Answer::Logs(logs)) => logs.into_iter().map(|log| log.name).collect(),
            _ => Vec::new(),
        }
    }
}

fn ask<Q: Question>(socket: &Path, request: &Q) -> Option<Q::Answer> {
    Client::connect(socket).ok()?.ask_while(request, WITHIN, &mut || true).ok()
}

impl Completer for LineCompleter {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(line.get(..pos).unwrap_or(line)))
    }
}

impl Hinter for LineCompleter {
    type Hint = String;
}

impl Highlighter for LineCompleter {}

impl Validator for LineCompleter {}

impl Helper for LineCompleter {}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Level, LineCompleter, Sockets};

    #[test]
    fn words_are_completed_without_a_daemon() {
        let nowhere = PathBuf::from("/nonexistent");
        let sockets = Sockets { presence: nowhere.clone(), platform: nowhere };
        let completer = LineCompleter { sockets, level: Level::Administrator };
        let offered = |line: &str| {
            let (start, pairs) = completer.candidates(line);
            (start, pairs.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>())
        };
        assert_eq!(offered("show stat"), (5, vec!["status ".to_owned()]));
        assert_eq!(offered("show use"), (5, vec!["users".to_owned(), "user".to_owned()]));
        assert_eq!(offered("sh cl pag").1, ["pagination "]);
        assert_eq!(offered("set cli pagination o").1, ["on", "off"]);
        assert_eq!(offered("user add anna dis").1, ["display-name "]);
        assert_eq!(offered("user add anna display-name ").1, Vec::<String>::new());
        assert_eq!(offered("show user an").1, Vec::<String>::new());
        assert_eq!(offered("nonsense ").1, Vec::<String>::new());
        assert_eq!(offered("help user ad").1, ["add "]);
        assert!(offered("").1.contains(&"show".to_owned()));
    }
}
