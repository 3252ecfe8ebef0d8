//! `utils …`

use admin_api::request::Request;

use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

pub(crate) fn service_list(session: &mut Session, _: &Arguments) -> Outcome {
    session.show(&Request::ListServices)
}
