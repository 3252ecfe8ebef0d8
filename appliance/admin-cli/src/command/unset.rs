//! `unset …`

use admin_api::request::Request;

use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

pub(crate) fn log_level(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::UnsetLogLevel { area: arguments.required("AREA").to_owned() })
}
