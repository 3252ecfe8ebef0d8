//! `… policy …`

use admin_api::request::Request;

use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

pub(crate) fn show(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ShowPolicy)
}

pub(crate) fn set(session: &mut Session, arguments: &Arguments) -> Outcome {
    let value = Some(arguments.required("VALUE").to_owned());
    session.show(&Request::SetPolicy { name: arguments.required("POLICY").to_owned(), value })
}

pub(crate) fn unset(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("POLICY").to_owned();
    session.show(&Request::SetPolicy { name, value: None })
}
