//! What an administrator asks, answered: questions about the node here, about users by the
//! server.

pub(crate) mod machine;
mod node_views;
mod user_views;

use admin_api::answer::user::{UserChange, UserChanged};
use admin_api::answer::{Answer as Reply, PolicyItem};
use admin_api::directory::DeviceCredentials;
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::{NewUser, Request};
use admin_api::secret::Secret;
use admin_api::user_id::UserId;
use presence::command::{self, Answer, Command, UserDraft};
use sip::digest::Ha1;

use crate::alarm::AlarmKind;
use crate::credentials;
use crate::directory::Wish;
use crate::import;
use crate::log::UnknownLog;
use crate::node::{Node, Unanswered};

/// Answers one request.
pub(crate) async fn answer(node: &Node, request: Request) -> Result<Reply, Refusal> {
    if let Some(words) = &node.facts.machine.too_small
        && is_about_users(&request)
    {
        return Err(Refusal::new(
            RefusalCode::NotServing,
            words.clone(),
            "hardware",
            "give the machine what is missing, then restart it",
        ));
    }
    match request {
        Request::ShowStatus => node_views::status(node).await.map(|s| Reply::Status(Box::new(s))),
        Request::ShowVersion => Ok(Reply::Version(node_views::version())),
        Request::ShowHardware => Ok(Reply::Hardware(Box::new(node.facts.machine.hardware.clone()))),
        Request::ShowCapacity => node_views::capacity(node).await.map(Reply::Capacity),
        Request::ShowUsers { page, id_prefix } => {
            user_views::users(node, &page, id_prefix.as_deref()).await.map(Reply::Users)
        }
        Request::ShowUser { id } => {
            user_views::user(node, &id).await.map(|user| Reply::User(Box::new(user)))
        }
        Request::ShowPresence { id } => {
            user_views::presence(node, id).await.map(|view| Reply::Presence(Box::new(view)))
        }
        Request::ShowWatchers { id, page } => {
            user_views::watchers(node, &id, &page).await.map(Reply::Subscriptions)
        }
        Request::ShowSubscriptions { page } => {
            user_views::subscriptions(node, &page).await.map(Reply::Subscriptions)
        }
        Request::ShowRegistrations { page } => {
            user_views::registrations(node, &page).await.map(Reply::Registrations)
        }
        Request::ShowAlarms => Ok(Reply::Alarms(node.alarms.list())),
        Request::TakeSnapshot => take_snapshot(node).await,
        Request::ShowTechSupport => Box::pin(node_views::tech_support(node))
            .await
            .map(|support| Reply::TechSupport(Box::new(support))),
        Request::ShowSettings => Ok(Reply::Settings(node_views::settings(node))),
        Request::ShowSip => Ok(Reply::Sip(node_views::sip(node))),
        Request::ShowDomain => Ok(Reply::Domain(node_views::domain(node))),
        Request::ListServices => Ok(Reply::Services(node_views::services(node))),
        Request::ListLogs => Ok(Reply::Logs(vec![node.log.inventory()])),
        Request::ReadLog(query) => {
            node.log.read(&query).await.map(Reply::LogLines).map_err(unknown_log)
        }
        Request::ShowLogLevels => Ok(Reply::LogLevels(node.log.levels())),
        Request::SetLogLevel { area, level } => set_level(node, &area, Some(level)),
        Request::UnsetLogLevel { area } => set_level(node, &area, None),
        Request::ShowPolicy => policy(node).await,
        Request::SetPolicy { name, value } => {
            ask(node, Command::SetPolicy { name, value }).await?;
            policy(node).await
        }
        Request::ShowDirectories => node.directories.show().await.map(Reply::Directories),
        Request::SetDirectory { name, change } => {
            node.directories.set(name, change).await.map(Reply::Directories)
        }
        Request::UnsetDirectory { name } => {
            node.directories.unset(name).await.map(Reply::Directories)
        }
        Request::TestDirectory { name } => {
            node.directories.test(name).await.map(Reply::DirectoryTested)
        }
        Request::SyncDirectory { name, is_full, is_forced, is_preview } => {
            let wish = Wish { is_full, is_forced, is_preview };
            node.directories.sync(name, wish).await.map(Reply::DirectorySynced)
        }
        Request::FindPeople(query) => node.directories.find(node, &query).await.map(Reply::People),
        Request::ShowPerson { id } => {
            let person = node.directories.person(node, &id).await;
            person.map(|person| Reply::Person(Box::new(person)))
        }
        Request::ShowGroups => node.directories.groups().await.map(Reply::Groups),
        Request::SetDevice { id, device } => set_device(node, id, device).await,
        Request::DeleteDevice { id, device } => {
            let command = Command::DeleteDevice { id: id.as_str().to_owned(), device };
            change(node, id, UserChange::DeviceDeleted, command).await
        }
        Request::AddUser(user) => add_user(node, user).await,
        Request::DeleteUser { id } => {
            let command = Command::DeleteUser(id.as_str().to_owned());
            change(node, id, UserChange::Deleted, command).await
        }
        Request::EnableUser { id } => {
            let command = Command::SetEnabled { id: id.as_str().to_owned(), enabled: true };
            change(node, id, UserChange::Enabled, command).await
        }
        Request::DisableUser { id } => {
            let command = Command::SetEnabled { id: id.as_str().to_owned(), enabled: false };
            change(node, id, UserChange::Disabled, command).await
        }
        Request::SetUserPassword { id, password } => set_password(node, id, password).await,
        Request::ImportUsers { csv } => import::import(node, csv).await.map(Reply::Imported),
    }
}

async fn policy(node: &Node) -> Result<Reply, Refusal> {
    match ask(node, Command::ShowPolicy).await? {
        Answer::Policy(items) => Ok(Reply::Policy(items.into_iter().map(policy_item).collect())),
        other => Err(unexpected(&other)),
    }
}

fn policy_item(item: command::PolicyItem) -> PolicyItem {
    PolicyItem {
        name: item.name.to_owned(),
        value: item.value,
        usual: item.usual,
        allowed: item.allowed,
        meaning: item.meaning.to_owned(),
    }
}

async fn take_snapshot(node: &Node) -> Result<Reply, Refusal> {
    if node.store.snapshot().await.unwrap_or(false) {
        return Ok(Reply::SnapshotTaken);
    }
    Err(Refusal::new(
        RefusalCode::StoreFailed,
        "a snapshot of the store could not be made",
        "store",
        "\"show alarms\" says why; try again once that is mended",
    ))
}

/// What a machine that is too small does not do.
const fn is_about_users(request: &Request) -> bool {
    matches!(
        request,
        Request::AddUser(_)
            | Request::DeleteUser { .. }
            | Request::EnableUser { .. }
            | Request::DisableUser { .. }
            | Request::SetUserPassword { .. }
            | Request::ImportUsers { .. }
            | Request::SyncDirectory { .. }
            | Request::SetDevice { .. }
            | Request::DeleteDevice { .. }
    )
}

async fn add_user(node: &Node, user: NewUser) -> Result<Reply, Refusal> {
    let id = user.id.clone();
    let mut draft = UserDraft {
        id: id.as_str().to_owned(),
        display_name: user.display_name,
        given_name: user.given_name,
        surname: user.surname,
        mail: user.mail,
        telephone: user.telephone,
        credentials: None,
    };
    if let Some(password) = user.password {
        draft.credentials = Some(hash(node, &id, password).await?);
    }
    change(node, id, UserChange::Added, Command::AddUser(draft)).await
}

async fn set_password(node: &Node, id: UserId, password: Secret) -> Result<Reply, Refusal> {
    let credentials = hash(node, &id, password).await?;
    let command = Command::SetCredentials { id: id.as_str().to_owned(), credentials };
    change(node, id, UserChange::PasswordSet, command).await
}

/// Makes credentials for a device: told once, and not to be made out from what is kept.
async fn set_device(node: &Node, id: UserId, device: String) -> Result<Reply, Refusal> {
    let realm = node.settings().domain.clone();
    let password = credentials::device_password()?;
    let ha1 = Ha1::from_password(id.as_str(), &realm, password.expose());
    let command = Command::SetDevice { id: id.as_str().to_owned(), device: device.clone(), ha1 };
    match ask(node, command).await? {
        Answer::Done => Ok(Reply::Device(DeviceCredentials { id, device, realm, password })),
        other => Err(unexpected(&other)),
    }
}

async fn hash(node: &Node, id: &UserId, password: Secret) -> Result<command::Credentials, Refusal> {
    let realm = node.settings().domain.clone();
    credentials::hash_elsewhere(id.as_str().to_owned(), realm, password).await
}

async fn change(
    node: &Node,
    id: UserId,
    change: UserChange,
    command: Command,
) -> Result<Reply, Refusal> {
    match ask(node, command).await? {
        Answer::Done => Ok(Reply::UserChanged(UserChanged { id, change })),
        other => Err(unexpected(&other)),
    }
}

fn set_level(
    node: &Node,
    area: &str,
    level: Option<admin_api::answer::log::LogLevel>,
) -> Result<Reply, Refusal> {
    node.log.set_level(area, level).map_err(unknown_log)?;
    Ok(Reply::LogLevels(node.log.levels()))
}

/// Asks the server; its refusals become ours.
async fn ask(node: &Node, command: Command) -> Result<Answer, Refusal> {
    match node.command(command).await.map_err(unanswered)? {
        Answer::Refused(refusal) => {
            note_capacity(node, &refusal);
            Err(refusal_of(refusal))
        }
        answer => Ok(answer),
    }
}

/// A user over the limit is refused by name, and raises the alarm.
pub(crate) fn note_capacity(node: &Node, refusal: &command::Refusal) {
    if matches!(refusal, command::Refusal::CapacityReached { .. }) {
        node.alarms.raise(AlarmKind::CapacityReached, refusal.to_string());
    }
}

fn unexpected(answer: &Answer) -> Refusal {
    tracing::error!(?answer, "the server answered another question");
    Refusal::new(
        RefusalCode::Internal,
        "the server answered another question",
        "presenced",
        "report this with the output of \"show tech-support\"",
    )
}

fn unknown_log(unknown: UnknownLog) -> Refusal {
    let next = match &unknown {
        UnknownLog::Area(_) => "\"show log levels\" lists the areas",
        UnknownLog::Name(_) => "\"file list log\" lists the logs",
    };
    Refusal::new(RefusalCode::UnknownLog, unknown.to_string(), "log", next)
}

/// The server does not answer.
pub(crate) fn unanswered(why: Unanswered) -> Refusal {
    let (code, next) = match why {
        Unanswered::Stopping => (RefusalCode::Stopping, "wait until the node has started again"),
        Unanswered::Busy => (RefusalCode::Busy, "try again in a moment"),
    };
    Refusal::new(code, why.to_string(), "presenced", next)
}

/// The server refuses.
pub(crate) fn refusal_of(refusal: command::Refusal) -> Refusal {
    use command::Refusal as R;
    let what = refusal.to_string();
    let (code, place, next) = match refusal {
        R::UnknownUser(_) => (RefusalCode::UnknownUser, "id", "\"show users\" lists the users"),
        R::UserExists(_) => {
            (RefusalCode::UserExists, "id", "choose another id, or change the user that is there")
        }
        R::BadUserId(_) => (RefusalCode::InvalidId, "id", "choose an id of these characters"),
        R::BadField { field, .. } => (RefusalCode::InvalidValue, field, "shorten the value"),
        R::CapacityReached { .. } => (
            RefusalCode::CapacityExceeded,
            "capacity",
            "disable or delete users who left, or move to a larger machine class",
        ),
        R::BadDevice(_) => (RefusalCode::InvalidValue, "device", "choose another name"),
        R::UnknownDevice { .. } => {
            (RefusalCode::NotFound, "device", "\"show user ID\" lists the devices")
        }
        R::TooManyDevices { .. } => (
            RefusalCode::TooLarge,
            "device",
            "take the credentials of one away: \"user device delete ID DEVICE\"",
        ),
        R::UnknownPolicy { .. } | R::BadPolicy { .. } => {
            (RefusalCode::InvalidValue, "policy", "\"show policy\" lists what there is to decide")
        }
        R::NotStored => {
            (RefusalCode::StoreFailed, "store", "\"show alarms\" says what is wrong with the disk")
        }
    };
    Refusal::new(code, what, place, next)
}
