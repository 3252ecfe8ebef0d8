//! `show …`

use admin_api::answer::Answer;
use admin_api::answer::log::LogLevel;
use admin_api::platform::answer::Answer as PlatformAnswer;
use admin_api::platform::request::Request as PlatformRequest;
use admin_api::request::{LogQuery, Request};
use admin_api::user_id::UserId;
use serde_json::json;

use crate::command::platform;
use crate::grammar::Arguments;
use crate::render::text::safe;
use crate::session::{Ending, Outcome, Session};

/// The log that `show log` reads.
const PRESENCE_LOG: &str = "presence";

const USUAL_LINES: u32 = 100;

pub(crate) fn status(session: &mut Session, _: &Arguments) -> Outcome {
    let status = session.ask(&Request::ShowStatus);
    platform::beside(session, "status", status, &[("platform", PlatformRequest::ShowPlatform)])
}

pub(crate) fn version(session: &mut Session, _: &Arguments) -> Outcome {
    let version = session.ask(&Request::ShowVersion);
    platform::beside(session, "version", version, &[("platform", PlatformRequest::ShowPlatform)])
}

pub(crate) fn hardware(session: &mut Session, _: &Arguments) -> Outcome {
    // The platform reads what only root may, and answers where the machine is too small to serve.
    match session.ask_platform(&PlatformRequest::ShowPlatform) {
        Ok(PlatformAnswer::Platform(facts)) => {
            session.present(&Answer::Hardware(Box::new(facts.hardware)))?;
            Ok(Ending::Done)
        }
        _ => session.show(&Request::ShowHardware),
    }
}

pub(crate) fn capacity(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowCapacity)
}

pub(crate) fn users(session: &mut Session, arguments: &Arguments) -> Outcome {
    let id_prefix = arguments.text("prefix").map(str::to_owned);
    session.show_list(|page| Request::ShowUsers { page, id_prefix: id_prefix.clone() })
}

pub(crate) fn user(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::ShowUser { id: UserId::from(arguments.required("ID")) })
}

pub(crate) fn presence(session: &mut Session, arguments: &Arguments) -> Outcome {
    let request = Request::ShowPresence { id: UserId::from(arguments.required("ID")) };
    if session.is_json || !arguments.has("document") {
        return session.show(&request);
    }
    if let Answer::Presence(presence) = session.ask(&request)? {
        session.print(presence.document_xml.lines().map(safe))?;
    }
    Ok(Ending::Done)
}

pub(crate) fn watchers(session: &mut Session, arguments: &Arguments) -> Outcome {
    let id = UserId::from(arguments.required("ID"));
    session.show_list(|page| Request::ShowWatchers { id: id.clone(), page })
}

pub(crate) fn subscriptions(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_list(|page| Request::ShowSubscriptions { page })
}

pub(crate) fn registrations(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_list(|page| Request::ShowRegistrations { page })
}

pub(crate) fn alarms(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowAlarms)
}

pub(crate) fn log(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::ReadLog(LogQuery {
        log: PRESENCE_LOG.to_owned(),
        after_sequence: None,
        limit: arguments.number("lines").unwrap_or(USUAL_LINES),
        minimum_level: arguments.text("at-least").and_then(level),
        area: arguments.text("area").map(str::to_owned),
        contains: arguments.text("contains").map(str::to_owned),
        wait_ms: 0,
    }))
}

pub(crate) fn log_levels(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowLogLevels)
}

pub(crate) fn settings(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowSettings)
}

pub(crate) fn sip(session: &mut Session, _: &Arguments) -> Outcome {
    let sip = session.ask(&Request::ShowSip);
    platform::beside(session, "sip", sip, &[("settings", PlatformRequest::ShowSip)])
}

pub(crate) fn domain(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowDomain)
}

pub(crate) fn tech_support(session: &mut Session, _: &Arguments) -> Outcome {
    let asked = [
        ("platform", PlatformRequest::ShowPlatform),
        ("network", PlatformRequest::ShowNetwork),
        ("time", PlatformRequest::ShowTime),
        ("syslog", PlatformRequest::ShowSyslog),
        ("ssh_keys", PlatformRequest::ListSshKeys),
        ("programs", PlatformRequest::ListServices),
    ];
    let report = session.ask(&Request::ShowTechSupport);
    platform::beside(session, "tech_support", report, &asked)
}

pub(crate) fn pagination(session: &mut Session, _: &Arguments) -> Outcome {
    let state = if session.is_paged { "on" } else { "off" };
    if session.is_json {
        session.print_json(&json!({ "pagination": state }))?;
    } else {
        session.print([format!("Pagination is {state}.")])?;
    }
    Ok(Ending::Done)
}

/// The level of this name.
pub(crate) fn level(name: &str) -> Option<LogLevel> {
    LogLevel::ALL.into_iter().find(|level| level.name() == name)
}
