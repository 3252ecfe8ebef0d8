//! `utils backup …`, `show backup`, and going back to the first day.

use std::thread;
use std::time::Duration;

use admin_api::platform::answer::Answer;
use admin_api::platform::backup::{BackupPlace, BackupSchedule, BackupSource, BackupWork, Backups};
use admin_api::platform::request::{FileArea, Request};
use admin_api::request::Request as PresenceRequest;

use crate::answers;
use crate::command::user;
use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::pager::Pager;
use crate::render::text::safe;
use crate::session::{Ending, Outcome, Session};

/// How often is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many are kept in a place, unless something else is said.
const KEEP: u32 = 14;

pub(crate) fn show(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ShowBackups)
}

pub(crate) fn set_passphrase(session: &mut Session, _: &Arguments) -> Outcome {
    let passphrase = Some(user::new_passphrase(session)?);
    session.show_platform(&Request::SetBackupPassphrase { passphrase })
}

pub(crate) fn unset_passphrase(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::SetBackupPassphrase { passphrase: None })
}

pub(crate) fn schedule(session: &mut Session, arguments: &Arguments) -> Outcome {
    let time = arguments.required("TIME");
    let schedule = if time.eq_ignore_ascii_case("off") {
        None
    } else {
        let Some(minute_of_day) = minute_of_day(time) else {
            let why = "This is no time of the day. Write it like 02:30, or off.";
            return Err(answers::problem(why.to_owned(), "TIME").into());
        };
        let keep = arguments.number("keep").unwrap_or(KEEP);
        Some(BackupSchedule { minute_of_day, place: place(session, arguments)?, keep })
    };
    session.show_platform(&Request::SetBackupSchedule { schedule })
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_number =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

pub(crate) fn create(session: &mut Session, arguments: &Arguments) -> Outcome {
    let place = place(session, arguments)?;
    let backups = follow(session, &Request::CreateBackup(place))?;
    session.present_platform(&Answer::Backups(Box::new(backups)))?;
    Ok(Ending::Done)
}

pub(crate) fn list(session: &mut Session, arguments: &Arguments) -> Outcome {
    let place = place(session, arguments)?;
    session.show_platform(&Request::ListBackups(place))
}

pub(crate) fn restore_here(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    restore(session, arguments, BackupSource::Here { name })
}

pub(crate) fn restore_upload(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    restore(session, arguments, BackupSource::Upload { name })
}

pub(crate) fn restore_disk(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.text("name").map(str::to_owned);
    restore(session, arguments, BackupSource::Disk { name })
}

pub(crate) fn restore_url(session: &mut Session, arguments: &Arguments) -> Outcome {
    let url = arguments.required("URL").to_owned();
    let password = user::password_of_another(session, arguments)?;
    restore(session, arguments, BackupSource::Url { url, password })
}

fn restore(session: &mut Session, arguments: &Arguments, source: BackupSource) -> Outcome {
    session.confirm(
        "All users, and all they have, are replaced by those of the backup, and settings too.",
        arguments,
    )?;
    let passphrase = user::secret(session, "Passphrase of the backup: ")?;
    let with_network = arguments.has("with-network");
    let request = Request::RestoreBackup { source, passphrase, with_network };
    let backups = follow(session, &request)?;
    session.present_platform(&Answer::Backups(Box::new(backups)))?;
    // Whom a smaller machine does not serve is said at once.
    session.show(&PresenceRequest::ShowCapacity)
}

pub(crate) fn factory_reset(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.confirm(
        "Everything is erased: users, settings, passwords, keys, logs. The machine then starts as on the first day.",
        arguments,
    )?;
    session.show_platform(&Request::FactoryReset)
}

pub(crate) fn list_here(session: &mut Session, _: &Arguments) -> Outcome {
    session.show_platform(&Request::ListFiles { area: FileArea::Backup })
}

pub(crate) fn delete_here(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    session.show_platform(&Request::DeleteFile { area: FileArea::Backup, name })
}

fn place(session: &mut Session, arguments: &Arguments) -> Result<BackupPlace, Failure> {
    match (arguments.has("disk"), arguments.text("url").map(str::to_owned)) {
        (true, Some(_)) => {
            let why = "A backup is left on the disk or at a URL, not both.";
            Err(answers::problem(why.to_owned(), "url").into())
        }
        (true, None) => Ok(BackupPlace::Disk),
        (false, None) => Ok(BackupPlace::Here),
        (false, Some(url)) => {
            let password = user::password_of_another(session, arguments)?;
            Ok(BackupPlace::Url { url, password })
        }
    }
}

/// Has something done, and shows how far it is. Whoever stops looking does not stop it.
fn follow(session: &mut Session, request: &Request) -> Result<Backups, Failure> {
    session.hear_interrupts()?;
    let mut backups = ask(session, request)?;
    let mut said = String::new();
    while let BackupWork::Running { step } = &backups.work {
        if !session.is_json && *step != said {
            let mut pager = Pager::new(None);
            pager.lines([format!("{} ...", safe(step))])?;
            pager.flush()?;
            step.clone_into(&mut said);
        }
        if session.is_interrupted() {
            break;
        }
        thread::sleep(LOOK_EVERY);
        backups = ask(session, &Request::ShowBackups)?;
    }
    if let BackupWork::Failed { why } = &backups.work {
        return Err(Problem {
            code: "backup_failed",
            what: why.clone(),
            place: "utils backup".to_owned(),
            next: "mend that, and try again; \"show backup\" says how things are".to_owned(),
        }
        .into());
    }
    Ok(backups)
}

fn ask(session: &Session, request: &Request) -> Result<Backups, Failure> {
    match session.ask_platform(request)? {
        Answer::Backups(backups) => Ok(*backups),
        _ => Err(Problem {
            code: "unreadable",
            what: "the platform service answered something else".to_owned(),
            place: "utils backup".to_owned(),
            next: "use the \"appliance\" command of the same release".to_owned(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::minute_of_day;

    #[test]
    fn times_of_the_day() {
        assert_eq!(minute_of_day("02:30"), Some(150));
        assert_eq!(minute_of_day("0:00"), Some(0));
        assert_eq!(minute_of_day("23:59"), Some(1_439));
        for wrong in ["24:00", "1:60", "12", "a:b", "+1:00", "", "1:2:3"] {
            assert_eq!(minute_of_day(wrong), None, "{wrong}");
        }
    }
}
