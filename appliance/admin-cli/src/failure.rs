//! Why a command was not done, for people and for programs.

use std::error::Error;
use std::io;

use admin_api::client::AskFailure;
use serde_json::{Value, json};

use crate::grammar::Misuse;
use crate::render::text::safe;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// `presenced`.
    Presence,
    /// `platformd`.
    Platform,
}

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The line is no command.
    Misuse(Misuse),
    /// A daemon refused, or did not answer.
    Ask(Daemon, AskFailure),
    /// Something on this side.
    Local(Problem),
    /// Output cannot be written; there is nobody to tell.
    Output(io::Error),
}

/// Something on this side that kept a command from being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The kind, for programs.
    pub(crate) code: &'static str,
    /// What happened.
    pub(crate) what: String,
    /// Where.
    pub(crate) place: String,
    /// What to do next.
    pub(crate) next: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Local(problem)
    }
}

impl Problem {
    /// The person at the terminal ended it.
    pub(crate) fn cancelled() -> Self {
        Self {
            code: "cancelled",
            what: "the command was cancelled".to_owned(),
            place: "this shell".to_owned(),
            next: "nothing needs to be done".to_owned(),
        }
    }
}

/// The message of an error with all its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Failure {
    /// Whether the daemon is not on this machine, or not running.
    pub(crate) const fn is_absence(&self) -> bool {
        matches!(self, Self::Ask(_, AskFailure::Unreachable { .. }))
    }

    /// Whether the person ended the question.
    pub(crate) const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Ask(_, AskFailure::Cancelled { .. }))
    }

    /// The exit code of a one-shot command.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Misuse(_) => 2,
            Self::Ask(..) | Self::Local(_) | Self::Output(_) => 1,
        }
    }

    /// Kind, what, where and what next.
    fn parts(&self) -> (Value, String, String, String) {
        match self {
            Self::Misuse(misuse) => {
                let what = format!("{}: {}", misuse.headline, misuse.why);
                (json!("misused"), what, misuse.place(), misuse.next.clone())
            }
            Self::Ask(daemon, failure) => asked(*daemon, failure),
            Self::Local(problem) => (
                json!(problem.code),
                problem.what.clone(),
                problem.place.clone(),
                problem.next.clone(),
            ),
            Self::Output(error) => (
                json!("output"),
                format!("the output cannot be written: {error}"),
                "standard output".to_owned(),
                "free the place where it goes".to_owned(),
            ),
        }
    }

    /// The value of the member `error` in the JSON form.
    pub(crate) fn json(&self) -> Value {
        let (code, what, place, next) = self.parts();
        json!({ "code": code, "what": what, "where": place, "next": next })
    }

    /// The explanation as lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        if let Self::Misuse(misuse) = self {
            return misuse.lines();
        }
        let (_, what, place, next) = self.parts();
        vec![
            format!("Executed command unsuccessfully: {}", safe(&what)),
            format!("  Where: {}", safe(&place)),
            format!("  Next:  {}", safe(&next)),
        ]
    }
}

fn asked(daemon: Daemon, failure: &AskFailure) -> (Value, String, String, String) {
    let (code, socket, next) = match failure {
        AskFailure::Refused(refusal) => {
            let code = serde_json::to_value(refusal.code).unwrap_or_default();
            return (code, refusal.what.clone(), refusal.place.clone(), refusal.next.clone());
        }
        AskFailure::Unreachable { socket, source } => {
            let next = match (daemon, source.kind()) {
                (_, io::ErrorKind::PermissionDenied) => {
                    "log in as an administrator of this machine"
                }
                (Daemon::Presence, _) => {
                    "it may be starting: try again in a minute; if it stays away, restart the \
                     machine"
                }
                (Daemon::Platform, _) => {
                    "only the sealed appliance has it: there, try again in a minute; if it stays \
                     away, restart the machine"
                }
            };
            let service = match daemon {
                Daemon::Presence => "presence",
                Daemon::Platform => "platform",
            };
            let what = format!("the {service} service cannot be reached: {source}");
            return (json!("unreachable"), what, socket.display().to_string(), next.to_owned());
        }
        AskFailure::Cancelled { socket } => {
            ("cancelled", socket, "what was asked may have been done: look before you repeat it")
        }
        AskFailure::TimedOut { socket, .. } => {
            ("timed_out", socket, "what was asked may have been done: look before you repeat it")
        }
        AskFailure::Broken { socket, .. } => {
            ("broken", socket, "what was asked may have been done: look before you repeat it")
        }
        AskFailure::Unreadable { socket, .. } => {
            ("unreadable", socket, "use the \"appliance\" command of the same release")
        }
        AskFailure::TooLong { socket, .. } => ("too_long", socket, "ask for less at once"),
    };
    (json!(code), with_causes(failure), socket.display().to_string(), next.to_owned())
}
