//! `set …`

use admin_api::answer::log::LogLevel;
use admin_api::request::Request;

use super::show;
use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

pub(crate) fn log_level(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::SetLogLevel {
        area: arguments.required("AREA").to_owned(),
        level: show::level(arguments.required("LEVEL")).unwrap_or(LogLevel::Info),
    })
}

pub(crate) fn pagination(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.is_paged = arguments.required("STATE") == "on";
    show::pagination(session, arguments)
}
