//! `utils system upgrade …`, `utils system switch-version`, and the files they take.

use std::io::{self, IsTerminal as _, Read as _};
use std::thread;
use std::time::Duration;

use admin_api::answer::Answer as Told;
use admin_api::platform::answer::Answer;
use admin_api::platform::request::{FileArea, MAX_FILE_PART_BYTES, Request};
use admin_api::platform::upgrade::{Upgrade, UpgradeSource, UpgradeState};
use admin_api::request::Request as Presence;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::command::user;
use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::pager::Pager;
use crate::render;
use crate::render::text::safe;
use crate::session::{Ending, Outcome, Session};

/// How often an installation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long is waited for the number of calls.
const STATUS_WITHIN: Duration = Duration::from_secs(3);

/// What a switch means to those who are served.
const SWITCH: &str =
    "The machine restarts from the other slot: SIP is not answered until it has started.";

pub(crate) fn show(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowUpgrade)
}

pub(crate) fn show_active(session: &mut Session, _: &Arguments) -> Outcome {
    show_slot(session, true)
}

pub(crate) fn show_inactive(session: &mut Session, _: &Arguments) -> Outcome {
    show_slot(session, false)
}

fn show_slot(session: &Session, is_running: bool) -> Outcome {
    let upgrade = read(session, &Request::ShowUpgrade)?;
    if let Some(slot) = upgrade.slots.iter().find(|slot| slot.is_running == is_running) {
        if session.is_json {
            session.print_json(&serde_json::to_value(slot).unwrap_or_default())?;
        } else {
            session.print(render::platform::slot(slot, session.zone()))?;
        }
    }
    Ok(Ending::Done)
}

pub(crate) fn install_disk(session: &mut Session, arguments: &Arguments) -> Outcome {
    install(session, arguments, UpgradeSource::Disk)
}

pub(crate) fn install_upload(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    install(session, arguments, UpgradeSource::Upload { name })
}

pub(crate) fn install_url(session: &mut Session, arguments: &Arguments) -> Outcome {
    let url = arguments.required("URL").to_owned();
    let password = user::password_of_another(session, arguments)?;
    install(session, arguments, UpgradeSource::Url { url, password })
}

pub(crate) fn cancel(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::CancelUpgrade)
}

pub(crate) fn switch_version(session: &mut Session, arguments: &Arguments) -> Outcome {
    confirm_switch(session, arguments)?;
    session.show_platform(&Request::SwitchVersion)
}

/// Asks, and says whose calls it would end.
fn confirm_switch(session: &mut Session, arguments: &Arguments) -> Result<(), Failure> {
    // A presence service that does not answer has no calls to lose.
    let ringing = match session.ask_within(&Presence::ShowStatus, STATUS_WITHIN) {
        Ok(Told::Status(status)) => status.ringing_calls,
        _ => 0,
    };
    let calls = match ringing {
        0 => String::new(),
        1 => " One call rings now and would be lost.".to_owned(),
        more => format!(" {more} calls ring now and would be lost."),
    };
    session.confirm(&format!("{SWITCH}{calls}"), arguments)
}

pub(crate) fn list_upload(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ListFiles { area: FileArea::Upload })
}

pub(crate) fn delete_upload(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    session.show_platform(&Request::DeleteFile { area: FileArea::Upload, name })
}

/// Takes a file from standard input, part by part.
pub(crate) fn put_upload(session: &mut Session, arguments: &Arguments) -> Outcome {
    let refused = |what: &str| Problem {
        code: "input",
        what: what.to_owned(),
        place: "standard input".to_owned(),
        next: "send a file: ssh admin@HOST file put upload NAME < FILE".to_owned(),
    };
    let name = arguments.required("NAME").to_owned();
    if io::stdin().is_terminal() || session.is_interactive() {
        return Err(refused("a file cannot be typed").into());
    }
    let mut input = io::stdin().lock();
    let mut offset = 0;
    loop {
        let mut part = Vec::new();
        let limit = u64::from(MAX_FILE_PART_BYTES);
        input
            .by_ref()
            .take(limit)
            .read_to_end(&mut part)
            .map_err(|error| refused(&format!("it cannot be read: {error}")))?;
        if part.is_empty() && offset == 0 {
            return Err(refused("there is nothing on it").into());
        }
        if part.is_empty() {
            break;
        }
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let base64 = STANDARD.encode(&part);
        session.ask_platform(&Request::WriteUpload { name: name.clone(), offset, base64 })?;
        offset += length;
    }
    list_upload(session, arguments)
}

/// Installs, and shows how far it is. Whoever stops looking does not stop it.
fn install(session: &mut Session, arguments: &Arguments, source: UpgradeSource) -> Outcome {
    if arguments.has("switch") {
        confirm_switch(session, arguments)?;
    }
    session.hear_interrupts()?;
    let mut upgrade = read(session, &Request::InstallUpgrade(source))?;
    let mut said = String::new();
    while let UpgradeState::Running { percent, step, .. } = &upgrade.state {
        let line = format!("{} {percent:>3} % {}", bar(*percent), safe(step));
        if !session.is_json && line != said {
            let mut pager = Pager::new(None);
            pager.lines([line.clone()])?;
            pager.flush()?;
            said = line;
        }
        if session.is_interrupted() {
            let mut pager = Pager::new(None);
            pager.lines(["It goes on. \"show upgrade\" says how far it is.".to_owned()])?;
            pager.flush()?;
            return Ok(Ending::Done);
        }
        thread::sleep(LOOK_EVERY);
        upgrade = read(session, &Request::ShowUpgrade)?;
    }
    if let UpgradeState::Failed { why } = &upgrade.state {
        return Err(Problem {
            code: "upgrade_failed",
            what: why.clone(),
            place: "the slot that does not run".to_owned(),
            next: "the running version is as it was; get the bundle anew and try again".to_owned(),
        }
        .into());
    }
    if arguments.has("switch") {
        return session.show_platform(&Request::SwitchVersion);
    }
    session.present_platform(&Answer::Upgrade(upgrade))?;
    Ok(Ending::Done)
}

/// Twenty places, as many of them full as is done.
fn bar(percent: u8) -> String {
    let full = usize::from(percent.min(100)) / 5;
    format!("[{}{}]", "#".repeat(full), ".".repeat(20 - full))
}

fn read(session: &Session, request: &Request) -> Result<Upgrade, Failure> {
    match session.ask_platform(request)? {
        Answer::Upgrade(upgrade) => Ok(upgrade),
        _ => Err(Problem {
            code: "unreadable",
            what: "the platform service answered something else".to_owned(),
            place: "utils system upgrade".to_owned(),
            next: "use the \"appliance\" command of the same release".to_owned(),
        }
        .into()),
    }
}
