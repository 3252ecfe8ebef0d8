//! `utils system …` and `utils service …`

use admin_api::platform::request::Request as PlatformRequest;
use admin_api::request::Request;

use crate::command::platform;
use crate::grammar::Arguments;
use crate::session::{Outcome, Session};

pub(crate) fn service_list(session: &mut Session, _: &Arguments) -> Outcome {
    let parts = session.ask(&Request::ListServices);
    let asked = [("programs", PlatformRequest::ListServices)];
    platform::beside(session, "services", parts, &asked)
}

pub(crate) fn service_restart(session: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required("NAME").to_owned();
    session.confirm("The service is away for some seconds.", arguments)?;
    session.show_platform(&PlatformRequest::RestartService { name })
}

pub(crate) fn restart(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.confirm("The machine restarts: service is away for about a minute.", arguments)?;
    session.show_platform(&PlatformRequest::Restart)
}

pub(crate) fn shutdown(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.confirm("The machine shuts down and must be switched on by hand.", arguments)?;
    session.show_platform(&PlatformRequest::Shutdown)
}
