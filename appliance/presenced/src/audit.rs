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
        Request::SetDirectory { name, .. } => format!("set ldap {name:?}"),
        Request::UnsetDirectory { name } => format!("unset ldap {name:?}"),
        Request::SyncDirectory { name, is_preview: false, is_forced, .. } => {
            format!("synchronize ldap {name:?}{}", if *is_forced { " by force" } else { "" })
        }
        Request::SetPolicy { name, value: Some(value) } => format!("set policy {name} {value}"),
        Request::SetPolicy { name, value: None } => format!("unset policy {name}"),
        Request::SetDevice { id, device } => format!("set device {device:?} of {}", id.as_str()),
        Request::DeleteDevice { id, device } => {
            format!("delete device {device:?} of {}", id.as_str())
        }
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
        | Request::ShowLogLevels
        | Request::ShowPolicy
        | Request::ShowDirectories
        | Request::TestDirectory { .. }
        | Request::SyncDirectory { .. }
        | Request::FindPeople(_)
        | Request::ShowPerson { .. }
        | Request::ShowGroups => return None,
    })
}

/// Writes the line. `uid` is who asked, as the kernel says.
pub(crate) fn write(uid: u32, what: String, reply: &Result<Answer, Refusal>) {
    match reply {
        Ok(_) => tracing::info!(target: "audit", uid, what, "done"),
        Err(refusal) => tracing::info!(target: "audit", uid, what, %refusal, "refused"),
    }
}
