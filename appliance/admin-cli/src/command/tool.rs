//! `utils network …`: tools whose output comes line by line.

use std::time::Duration;

use admin_api::platform::answer::Answer;
use admin_api::platform::request::Request;
use admin_api::platform::tool::{Tool, ToolOutput};
use serde_json::json;

use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::pager::Pager;
use crate::render::text::safe;
use crate::session::{Ending, Outcome, Session};

/// How long the platform holds a question for lines that are not there yet.
const WAIT_MS: u64 = 1_000;

/// How often a stopped tool is asked whether it has ended.
const STOP_ATTEMPTS: usize = 15;

fn host(arguments: &Arguments) -> String {
    arguments.required("HOST").to_owned()
}

fn port(arguments: &Arguments, name: &str) -> Option<u16> {
    arguments.number(name).and_then(|port| u16::try_from(port).ok())
}

pub(crate) fn ping(session: &mut Session, arguments: &Arguments) -> Outcome {
    let tool = Tool::Ping {
        host: host(arguments),
        count: arguments.number("count").unwrap_or(4),
        size_bytes: arguments.number("size").unwrap_or(56),
    };
    run(session, tool)
}

pub(crate) fn traceroute(session: &mut Session, arguments: &Arguments) -> Outcome {
    run(session, Tool::Traceroute { host: host(arguments) })
}

pub(crate) fn resolve(session: &mut Session, arguments: &Arguments) -> Outcome {
    run(session, Tool::Resolve { host: host(arguments) })
}

pub(crate) fn connect(session: &mut Session, arguments: &Arguments) -> Outcome {
    let port = port(arguments, "PORT").unwrap_or_default();
    run(session, Tool::Connect { host: host(arguments), port })
}

pub(crate) fn capture(session: &mut Session, arguments: &Arguments) -> Outcome {
    let tool = Tool::Capture {
        file: arguments.required("FILE").to_owned(),
        count: arguments.number("count").unwrap_or(1_000),
        host: arguments.text("host").and_then(|text| text.parse().ok()),
        port: port(arguments, "port"),
    };
    run(session, tool)
}

/// Runs a tool until it ends or Ctrl-C is pressed; whatever else ends the reading ends it, too.
fn run(session: &mut Session, tool: Tool) -> Outcome {
    session.hear_interrupts()?;
    let started = output(session.ask_platform(&Request::StartTool(tool))?)?;
    let mut screen = Screen { is_json: session.is_json, lines: Vec::new() };
    let id = started.tool;
    match follow(session, started, &mut screen) {
        Ok(has_succeeded) => {
            if session.is_json {
                session.print_json(&json!({ "tool_output": {
                    "lines": screen.lines,
                    "has_succeeded": has_succeeded,
                } }))?;
            }
            Ok(if has_succeeded { Ending::Done } else { Ending::DoneInPart })
        }
        Err(failure) => {
            // The first failure is the one to tell of.
            let _ = persistently(session, &Request::StopTool { tool: id });
            Err(failure)
        }
    }
}

fn follow(session: &Session, started: ToolOutput, screen: &mut Screen) -> Result<bool, Failure> {
    let tool = started.tool;
    let mut said = started;
    let mut attempts = None;
    loop {
        screen.lines(&said.lines)?;
        if let Some(has_succeeded) = said.has_succeeded {
            return Ok(has_succeeded);
        }
        let read = Request::ReadTool { tool, after_line: said.next_after_line, wait_ms: WAIT_MS };
        let next = match attempts {
            None => match session.ask_platform(&read) {
                Err(failure) if failure.is_cancelled() => None,
                other => Some(other?),
            },
            Some(0) => return Ok(true),
            Some(left) => {
                attempts = Some(left - 1);
                Some(persistently(session, &read)?)
            }
        };
        said = match next {
            Some(answer) if attempts.is_some() || !session.is_interrupted() => output(answer)?,
            // Its last words are read from where reading stopped.
            next => {
                persistently(session, &Request::StopTool { tool })?;
                attempts = Some(STOP_ATTEMPTS);
                match next {
                    Some(answer) => output(answer)?,
                    None => ToolOutput { lines: Vec::new(), has_succeeded: None, ..said },
                }
            }
        };
    }
}

/// Asks whether or not Ctrl-C is pressed.
fn persistently(session: &Session, request: &Request) -> Result<Answer, Failure> {
    session.ask_platform_within(request, Duration::from_secs(10))
}

fn output(answer: Answer) -> Result<ToolOutput, Failure> {
    match answer {
        Answer::ToolOutput(output) => Ok(output),
        _ => Err(Problem {
            code: "unreadable",
            what: "the platform service answered something else".to_owned(),
            place: "utils network".to_owned(),
            next: "use the \"appliance\" command of the same release".to_owned(),
        }
        .into()),
    }
}

/// Where lines go.
struct Screen {
    is_json: bool,
    lines: Vec<String>,
}

impl Screen {
    fn lines(&mut self, lines: &[String]) -> Result<(), Failure> {
        if self.is_json {
            self.lines.extend_from_slice(lines);
            return Ok(());
        }
        let mut pager = Pager::new(None);
        pager.lines(lines.iter().map(|line| safe(line)))?;
        Ok(pager.flush()?)
    }
}
