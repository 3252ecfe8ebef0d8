//! What is asked of the machine: time, passwords, keys, domain, SIP, syslog.

use std::io::{self, Read as _};

use admin_api::platform::answer::Answer;
use admin_api::platform::request::Request;
use admin_api::platform::settings::{SipSettings, SyslogSettings};
use admin_api::secret::Secret;
use serde_json::json;

use crate::answers;
use crate::command::user;
use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::render::text::safe;
use crate::session::{Ending, Outcome, Session};
use crate::terminal;

const SYSLOG_PORT: u32 = 6_514;

/// More than any list of authorities takes.
const MAX_PEM_BYTES: usize = 256 * 1024;

pub(crate) fn network(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowNetwork)
}

pub(crate) fn time(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowTime)
}

pub(crate) fn time_zones(session: &mut Session, arguments: &Arguments) -> Outcome {
    let Answer::TimeZones(mut zones) = session.ask_platform(&Request::ListTimeZones)? else {
        return Ok(Ending::Done);
    };
    let wanted = arguments.text("contains").unwrap_or_default().to_lowercase();
    zones.retain(|zone| zone.to_lowercase().contains(&wanted));
    session.present_platform(&Answer::TimeZones(zones))?;
    Ok(Ending::Done)
}

pub(crate) fn ssh_keys(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ListSshKeys)
}

pub(crate) fn syslog(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowSyslog)
}

pub(crate) fn set_time_zone(session: &mut Session, arguments: &Arguments) -> Outcome {
    let zone = arguments.required("ZONE").to_owned();
    let outcome = session.show_platform(&Request::SetTimeZone { zone });
    session.look_at_the_zone();
    outcome
}

pub(crate) fn set_time_servers(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show_platform(&Request::SetTimeServers { servers: arguments.list("SERVER") })
}

pub(crate) fn unset_time_servers(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetTimeServers { servers: Vec::new() })
}

pub(crate) fn set_clock(session: &mut Session, arguments: &Arguments) -> Outcome {
    let Some(now_unix_ms) = session.zone().unix_ms(arguments.required("TIME")) else {
        let why = "This is no time. Write it like \"2026-03-01 14:05:00\", in quotes.";
        return Err(answers::problem(why.to_owned(), "TIME").into());
    };
    session.show_platform(&Request::SetClock { now_unix_ms })
}

pub(crate) fn set_password(session: &mut Session, arguments: &Arguments) -> Outcome {
    let (current, new) = user::both_passwords(session, arguments)?;
    session.show_platform(&Request::SetPassword { current, new })
}

pub(crate) fn set_domain(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.confirm("The presence service restarts with the new domain.", arguments)?;
    session.show_platform(&Request::SetDomain { domain: arguments.required("DOMAIN").to_owned() })
}

pub(crate) fn set_trusted(session: &mut Session, arguments: &Arguments) -> Outcome {
    let trusted = Some(arguments.list("BLOCK"));
    session.show_platform(&Request::SetSip(SipSettings { trusted, digest: None }))
}

pub(crate) fn unset_trusted(session: &mut Session, _: &Arguments) -> Outcome {
    let trusted = Some(Vec::new());
    session.show_platform(&Request::SetSip(SipSettings { trusted, digest: None }))
}

pub(crate) fn set_digest(session: &mut Session, arguments: &Arguments) -> Outcome {
    let digest = arguments.list("ALGORITHM").iter().map(|name| name.to_uppercase()).collect();
    session.show_platform(&Request::SetSip(SipSettings { trusted: None, digest: Some(digest) }))
}

pub(crate) fn set_syslog(session: &mut Session, arguments: &Arguments) -> Outcome {
    let port = arguments.number("port").unwrap_or(SYSLOG_PORT);
    let syslog = Some(Box::new(SyslogSettings {
        host: arguments.required("HOST").to_owned(),
        port: u16::try_from(port).unwrap_or(u16::MAX),
        trust_pem: pem(session)?,
    }));
    session.show_platform(&Request::SetSyslog { syslog })
}

pub(crate) fn unset_syslog(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetSyslog { syslog: None })
}

pub(crate) fn trust(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowTrust)
}

pub(crate) fn set_trust(session: &mut Session, _: &Arguments) -> Outcome {
    let pem = Some(pem(session)?);
    session.show_platform(&Request::SetTrust { pem })
}

pub(crate) fn unset_trust(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetTrust { pem: None })
}

pub(crate) fn client_key(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowClientKey)
}

pub(crate) fn forget_host(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show_platform(&Request::ForgetHost { host: arguments.required("HOST").to_owned() })
}

/// The certificates, pasted or sent.
pub(crate) fn pem(session: &mut Session) -> Result<String, Failure> {
    let unusable = |what: String| Problem {
        code: "input",
        what,
        place: "standard input".to_owned(),
        next: "send the PEM file of the authority there".to_owned(),
    };
    let bytes = if terminal::is_interactive() {
        session.has_stale_input = true;
        let what = "Paste the PEM certificates of the authority.";
        terminal::line::block(what, true, MAX_PEM_BYTES)
            .map_err(|error| unusable(format!("it cannot be read: {error}")))?
            .ok_or_else(Problem::cancelled)?
    } else {
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        let limit = u64::try_from(MAX_PEM_BYTES).unwrap_or(u64::MAX);
        io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| unusable(format!("it cannot be read: {error}")))?;
        bytes
    };
    if bytes.len() >= MAX_PEM_BYTES {
        return Err(unusable(format!("there are {MAX_PEM_BYTES} bytes or more")).into());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(unusable("it is not text".to_owned()).into()),
    }
}

pub(crate) fn add_ssh_key(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show_platform(&Request::AddSshKey { key: arguments.required("KEY").to_owned() })
}

pub(crate) fn delete_ssh_key(session: &mut Session, arguments: &Arguments) -> Outcome {
    let fingerprint = arguments.required("FINGERPRINT").to_owned();
    session.show_platform(&Request::DeleteSshKey { fingerprint })
}

/// What the platform says beside what the presence service says: both in one document, or one
/// below the other. Without a platform there is only the other.
pub(crate) fn beside(
    session: &Session,
    name: &'static str,
    main: Result<admin_api::answer::Answer, Failure>,
    asked: &[(&'static str, Request)],
) -> Outcome {
    let mut parts = Vec::new();
    for (member, request) in asked {
        match session.ask_platform(request) {
            Ok(answer) => parts.push((*member, Ok(answer))),
            Err(failure) if failure.is_absence() => {}
            Err(failure) => parts.push((*member, Err(failure))),
        }
    }
    let main = match main {
        Err(failure) if parts.is_empty() => return Err(failure),
        main => main,
    };
    if session.is_json {
        let mut document = match &main {
            Ok(answer) => serde_json::to_value(answer).unwrap_or_default(),
            Err(failure) => json!({ name: null, "error": failure.json() }),
        };
        for (member, part) in &parts {
            let value = match part {
                Ok(answer) => Session::inner(answer),
                Err(failure) => json!({ "error": failure.json() }),
            };
            if let Some(members) = document.as_object_mut() {
                members.insert((*member).to_owned(), value);
            }
        }
        session.print_json(&document)?;
    } else {
        let mut lines = match &main {
            Ok(answer) => crate::render::answer(answer, session.zone()),
            Err(failure) => failure.lines(),
        };
        for (member, part) in &parts {
            lines.push(String::new());
            lines.push(format!("==== {} ====", safe(member)));
            lines.extend(match part {
                Ok(answer) => crate::render::platform::answer(answer, session.zone()),
                Err(failure) => failure.lines(),
            });
        }
        session.print(lines)?;
    }
    Ok(if main.is_ok() { Ending::Done } else { Ending::DoneInPart })
}

/// A secret without its owner's copy.
pub(crate) fn secret(mut line: zeroize::Zeroizing<String>) -> Secret {
    Secret::new(std::mem::take(&mut *line))
}
