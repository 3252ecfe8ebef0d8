//! `… ldap …`, `directory …`, `user device …`

use admin_api::answer::Answer;
use admin_api::directory::{DirectoryChange, PeopleQuery};
use admin_api::request::Request;
use admin_api::user_id::UserId;

use crate::command::{platform, user};
use crate::grammar::Arguments;
use crate::session::{Ending, Outcome, Session};

/// People on a page.
const USUAL_LIMIT: u32 = 25;

fn name(arguments: &Arguments) -> String {
    arguments.required("NAME").to_owned()
}

pub(crate) fn show(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowDirectories)
}

pub(crate) fn groups(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowGroups)
}

pub(crate) fn set(session: &mut Session, arguments: &Arguments) -> Outcome {
    let text = |word: &str| arguments.text(word).map(str::to_owned);
    // What takes a value back is said in a word, not by two quotes.
    let or_none =
        |word: &str, none: &str| text(word).map(|v| if v == none { String::new() } else { v });
    let list = |word: &str| {
        let split = |value: String| {
            let values = value.split(',').map(|value| value.trim().to_owned());
            values.filter(|value| !value.is_empty()).collect::<Vec<_>>()
        };
        text(word).map(|value| {
            if value == "none" || value == "default" { Vec::new() } else { split(value) }
        })
    };
    let password = match arguments.has("password") {
        true => Some(user::secret(session, "Password of the account: ")?),
        false => None,
    };
    let trust_pem = match (arguments.has("trust"), arguments.has("no-trust")) {
        (true, _) => Some(platform::pem(session)?),
        (false, true) => Some(String::new()),
        (false, false) => None,
    };
    let change = DirectoryChange {
        kind: text("type"),
        servers: list("servers"),
        security: text("security"),
        trust_pem,
        pins: list("pin"),
        bind_dn: or_none("bind-dn", "none"),
        password,
        base: text("base"),
        scope: text("scope"),
        filter: or_none("filter", "default"),
        attributes: list("attributes"),
        group_filter: or_none("groups", "none"),
        every_minutes: arguments.number("schedule"),
        grace_hours: arguments.number("grace"),
    };
    session.show(&Request::SetDirectory { name: name(arguments), change: Box::new(change) })
}

pub(crate) fn unset(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.confirm("Its users stay as local users, without their password.", arguments)?;
    session.show(&Request::UnsetDirectory { name: name(arguments) })
}

pub(crate) fn test(session: &mut Session, arguments: &Arguments) -> Outcome {
    let answer = session.ask(&Request::TestDirectory { name: name(arguments) })?;
    session.present(&answer)?;
    let has_failed = matches!(
        &answer,
        Answer::DirectoryTested(trials) if trials.iter().any(|trial| trial.refusal.is_some())
    );
    Ok(if has_failed { Ending::DoneInPart } else { Ending::Done })
}

pub(crate) fn sync(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::SyncDirectory {
        name: name(arguments),
        is_full: arguments.has("full") || arguments.has("force"),
        is_forced: arguments.has("force"),
        is_preview: false,
    })
}

pub(crate) fn preview(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::SyncDirectory {
        name: name(arguments),
        is_full: true,
        is_forced: arguments.has("force"),
        is_preview: true,
    })
}

pub(crate) fn search(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::FindPeople(PeopleQuery {
        text: arguments.required("TEXT").to_owned(),
        field: arguments.text("field").map(str::to_owned),
        offset: arguments.number("offset").unwrap_or(0),
        limit: arguments.number("limit").unwrap_or(USUAL_LIMIT),
    }))
}

pub(crate) fn person(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::ShowPerson { id: id(arguments) })
}

fn id(arguments: &Arguments) -> UserId {
    UserId::from(arguments.required("ID"))
}

pub(crate) fn add_device(session: &mut Session, arguments: &Arguments) -> Outcome {
    let device = arguments.required("DEVICE").to_owned();
    session.show(&Request::SetDevice { id: id(arguments), device })
}

pub(crate) fn delete_device(session: &mut Session, arguments: &Arguments) -> Outcome {
    let device = arguments.required("DEVICE").to_owned();
    session.show(&Request::DeleteDevice { id: id(arguments), device })
}
