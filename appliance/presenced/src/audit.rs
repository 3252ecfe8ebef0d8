//! Who changed what: a line in the log for each request of an administrator that changes something,
//! done or refused, without secrets.

use admin_api::answer::Answer;
use admin_api::refusal::Refusal;
use admin_api::request::Request;

/// What a request changes; none when it only looks.
pub(crate) fn change(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddUser(user) => format!("add user {}", user.id.as_str()),
        Request::DeleteUser { id } => format!("delete user {}", id.as_str()),
        Request::EnableUser { id } => format!("enable user {}", id.as_str()),
        Request::DisableUser { id } => format!("disable user {}", id.as_str()),
        Request::SetUserPassword { id, .. } => format!("set the password of user {}", id.as_str()),
        Request::ImportUsers { .. } => "import users".to_owned(),
        Request::SetLogLevel { area, level } => format!("set log level of {area:?} to {level:?}"),
        Request::UnsetLogLevel { area } => format!("unset log level of {area:?}"),
        Request::ShowStatus
        | Request::ShowVersion
        | Request::ShowHardware
        | Request::ShowCapacity
        | Request::ShowUsers { .. }
        | Request::ShowUser { .. }
        | Request::ShowPresence { .. }
        | Request::ShowWatchers { .. }
        | Request::ShowSubscriptions { .. }
        | Request::ShowRegistrations { .. }
        | Request::ShowAlarms
        | Request::TakeSnapshot
        | Request::ShowTechSupport
        | Request::ShowSettings
        | Request::ShowSip
        | Request::ShowDomain
        | Request::ListServices
        | Request::ListLogs
        | Request::ReadLog(_)
        | Request::ShowLogLevels => return None,
    })
}

/// Writes the line. `uid` is who asked, as the kernel says.
pub(crate) fn write(uid: u32, what: String, reply: &Result<Answer, Refusal>) {
    match reply {
        Ok(_) => tracing::info!(target: "audit", uid, what, "done"),
        Err(refusal) => tracing::info!(target: "audit", uid, what, %refusal, "refused"),
    }
}
