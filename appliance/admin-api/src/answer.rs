//! Every answer that the presence daemon gives to the CLI.

use serde::{Deserialize, Serialize};

use crate::directory::{
    DeviceCredentials, Directory, Group, People, Person, ServerTrial, SyncReport,
};
use crate::page::Page;

use self::log::{LogInventory, LogLevels, LogLines};
use self::presence::{Presence, Registration, Subscription};
use self::system::{
    Alarm, Capacity, Domain, Hardware, Service, Setting, Sip, Status, TechSupport, Version,
};
use self::user::{ImportReport, UserChanged, UserDetail, UserSummary};

pub mod log;
pub mod presence;
pub mod system;
pub mod user;

/// One thing that is decided for the whole node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyItem {
    /// What.
    pub name: String,
    /// How it is decided.
    pub value: String,
    /// How it is where nobody decides.
    pub usual: String,
    /// How it may be decided.
    pub allowed: String,
    /// What it is about.
    pub meaning: String,
}

/// An answer; its JSON is an object with one member named after the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `ShowStatus`.
    Status(Box<Status>),
    /// To `ShowVersion`.
    Version(Version),
    /// To `ShowHardware`.
    Hardware(Box<Hardware>),
    /// To `ShowCapacity`.
    Capacity(Capacity),
    /// To `ShowUsers`.
    Users(Page<UserSummary>),
    /// To `ShowUser`.
    User(Box<UserDetail>),
    /// To `ShowPresence`.
    Presence(Box<Presence>),
    /// To `ShowWatchers` and `ShowSubscriptions`.
    Subscriptions(Page<Subscription>),
    /// To `ShowRegistrations`.
    Registrations(Page<Registration>),
    /// To `ShowAlarms`: standing ones first, newest first.
    Alarms(Vec<Alarm>),
    /// To `ShowTechSupport`.
    TechSupport(Box<TechSupport>),
    /// To `ShowSettings`, in order of name.
    Settings(Vec<Setting>),
    /// To `ShowSip`.
    Sip(Sip),
    /// To `ShowDomain`.
    Domain(Domain),
    /// To `ListServices`.
    Services(Vec<Service>),
    /// To `ListLogs`.
    Logs(Vec<LogInventory>),
    /// To `ReadLog`.
    LogLines(LogLines),
    /// To `ShowLogLevels`, `SetLogLevel` and `UnsetLogLevel`: the levels as they now are.
    LogLevels(LogLevels),
    /// To `AddUser`, `DeleteUser`, `EnableUser`, `DisableUser` and `SetUserPassword`; sent when
    /// the change is on disk.
    UserChanged(UserChanged),
    /// To `TakeSnapshot`: the newest `snapshot-…` of the store is the one.
    SnapshotTaken,
    /// To `ShowPolicy` and `SetPolicy`.
    Policy(Vec<PolicyItem>),
    /// To `ShowDirectories`, `SetDirectory` and `UnsetDirectory`.
    Directories(Vec<Directory>),
    /// To `TestDirectory`: each server by itself.
    DirectoryTested(Vec<ServerTrial>),
    /// To `SyncDirectory`; sent when all of it is on disk.
    DirectorySynced(Box<SyncReport>),
    /// To `FindPeople`.
    People(People),
    /// To `ShowPerson`.
    Person(Box<Person>),
    /// To `ShowGroups`.
    Groups(Vec<Group>),
    /// To `SetDevice`; the only time that the password is told.
    Device(DeviceCredentials),
    /// To `ImportUsers`; sent when all that was accepted is on disk.
    Imported(ImportReport),
}
