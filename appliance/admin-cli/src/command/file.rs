//! `file …`: the logs, as far as the daemon keeps them.

use std::io::{self, IsTerminal as _, Write as _};

use admin_api::answer::Answer;
use admin_api::answer::log::LogLines;
use admin_api::platform::answer::Answer as PlatformAnswer;
use admin_api::platform::request::{self as platform, FileArea};
use admin_api::request::{LogQuery, MAX_LOG_LINES, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::pager::{Flow, Pager};
use crate::render::log;
use crate::session::{Ending, Outcome, Session};

const TAIL_LINES: u32 = 10;

/// How long the daemon holds a question for lines that are not there yet.
const TAIL_WAIT_MS: u64 = 10_000;

pub(crate) fn list_log(session: &mut Session, _: &Arguments) -> Outcome {
    match session.ask_platform(&platform::Request::ListLogs) {
        Err(failure) if failure.is_absence() => session.show(&Request::ListLogs),
        Ok(PlatformAnswer::Logs(logs)) => {
            session.present(&Answer::Logs(logs))?;
            Ok(Ending::Done)
        }
        Ok(_) => Ok(Ending::Done),
        Err(failure) => Err(failure),
    }
}

pub(crate) fn view_log(session: &mut Session, arguments: &Arguments) -> Outcome {
    let pager = session.pager();
    whole(session, arguments, pager)
}

pub(crate) fn search_log(session: &mut Session, arguments: &Arguments) -> Outcome {
    let pager = session.pager();
    whole(session, arguments, pager)
}

pub(crate) fn get_log(session: &mut Session, arguments: &Arguments) -> Outcome {
    whole(session, arguments, Pager::new(None))
}

fn query(arguments: &Arguments) -> LogQuery {
    LogQuery {
        log: arguments.required("LOG").to_owned(),
        after_sequence: Some(0),
        limit: MAX_LOG_LINES,
        minimum_level: None,
        area: None,
        contains: arguments.text("TEXT").map(str::to_owned),
        wait_ms: 0,
    }
}

fn read(session: &Session, query: &LogQuery) -> Result<LogLines, Failure> {
    // The journal keeps every log over restarts; without it there is what the daemon remembers.
    let answer = match session.ask_platform(&platform::Request::ReadLog(query.clone())) {
        Err(failure) if failure.is_absence() => session.ask(&Request::ReadLog(query.clone()))?,
        Ok(PlatformAnswer::LogLines(lines)) => return Ok(lines),
        Ok(_) => return Ok(nothing(query)),
        Err(failure) => return Err(failure),
    };
    match answer {
        Answer::LogLines(lines) => Ok(lines),
        // A daemon of the same release answers in kind; one that does not has nothing to show.
        _ => Ok(nothing(query)),
    }
}

fn nothing(query: &LogQuery) -> LogLines {
    LogLines {
        lines: Vec::new(),
        next_after_sequence: query.after_sequence.unwrap_or_default(),
        more: false,
        lost_lines: 0,
    }
}

/// Prints a log from its oldest line to its newest; as JSON in one document.
fn whole(session: &Session, arguments: &Arguments, mut pager: Pager) -> Outcome {
    let mut query = query(arguments);
    let mut all: Option<LogLines> = None;
    loop {
        let page = read(session, &query)?;
        let is_stuck = Some(page.next_after_sequence) <= query.after_sequence;
        let is_last = is_stuck || !page.more;
        query.after_sequence = Some(page.next_after_sequence);
        if session.is_json {
            match &mut all {
                Some(all) => {
                    all.lines.extend(page.lines);
                    all.next_after_sequence = page.next_after_sequence;
                    all.more = page.more;
                }
                None => all = Some(page),
            }
        } else {
            let lines = page.lines.iter().map(|line| log::line(line, session.zone()));
            if pager.lines(lines)? == Flow::Stop {
                break;
            }
        }
        if is_last {
            break;
        }
    }
    if let Some(all) = all {
        session.present(&Answer::LogLines(all))?;
    }
    pager.flush()?;
    Ok(Ending::Done)
}

pub(crate) fn tail_log(session: &mut Session, arguments: &Arguments) -> Outcome {
    let limit = arguments.number("lines").unwrap_or(TAIL_LINES);
    let newest = LogQuery { after_sequence: None, limit, ..query(arguments) };
    let mut page = read(session, &newest)?;
    if session.is_json {
        session.present(&Answer::LogLines(page))?;
        return Ok(Ending::Done);
    }
    let mut pager = Pager::new(None);
    loop {
        if page.lost_lines > 0 {
            pager.line(&format!("({} lines came too fast to be kept)", page.lost_lines))?;
        }
        pager.lines(page.lines.iter().map(|line| log::line(line, session.zone())))?;
        pager.flush()?;
        let next = LogQuery {
            after_sequence: Some(page.next_after_sequence),
            limit: MAX_LOG_LINES,
            wait_ms: TAIL_WAIT_MS,
            ..newest.clone()
        };
        page = match read(session, &next) {
            Ok(page) => page,
            Err(failure) if failure.is_cancelled() => return Ok(Ending::Done),
            Err(failure) => return Err(failure),
        };
        if session.is_interrupted() {
            return Ok(Ending::Done);
        }
    }
}

pub(crate) fn list_capture(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&platform::Request::ListFiles { area: FileArea::Capture })
}

pub(crate) fn delete_capture(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    session.show_platform(&platform::Request::DeleteFile { area: FileArea::Capture, name })
}

pub(crate) fn get_capture(session: &mut Session, arguments: &Arguments) -> Outcome {
    get(session, arguments, FileArea::Capture)
}

pub(crate) fn get_backup(session: &mut Session, arguments: &Arguments) -> Outcome {
    get(session, arguments, FileArea::Backup)
}

/// Writes a file to standard output as it is, part by part.
fn get(session: &Session, arguments: &Arguments, area: FileArea) -> Outcome {
    let refused = |what: &str| Problem {
        code: "output",
        what: what.to_owned(),
        place: "standard output".to_owned(),
        next: "send it to a file: ssh admin@HOST file get … NAME > NAME".to_owned(),
    };
    if session.is_json {
        return Err(refused("such a file cannot be JSON").into());
    }
    if io::stdout().is_terminal() || session.is_interactive() {
        return Err(refused("such a file is nothing that a terminal can show").into());
    }
    let name = arguments.required("NAME").to_owned();
    let mut out = io::stdout().lock();
    let mut offset = 0;
    loop {
        let answer = session.ask_platform(&platform::Request::ReadFile {
            area,
            name: name.clone(),
            offset,
            limit_bytes: platform::MAX_FILE_PART_BYTES,
        })?;
        let PlatformAnswer::FilePart(part) = answer else { return Ok(Ending::Done) };
        let bytes = STANDARD
            .decode(part.base64)
            .map_err(|error| refused(&format!("the platform service sent no Base64: {error}")))?;
        if bytes.is_empty() {
            break;
        }
        out.write_all(&bytes)?;
        offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if offset >= part.size_bytes {
            break;
        }
    }
    out.flush()?;
    Ok(Ending::Done)
}
